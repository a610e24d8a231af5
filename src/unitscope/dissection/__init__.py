"""Units get names, and the names a measure of confidence."""
