"""Sets whose pictures are labelled as a whole."""
