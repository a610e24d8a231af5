"""Pictures and masks as files hold them."""
