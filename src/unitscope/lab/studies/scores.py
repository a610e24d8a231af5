"""Which score of a name is to be believed? Sanity tests, units of known names, and a recommendation."""
