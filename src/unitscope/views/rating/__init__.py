"""A local page that asks people whether units are what their labels say."""
