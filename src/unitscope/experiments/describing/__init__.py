"""Names from text: words for units over images that nobody has labeled."""
