"""Sets with one map of labels a picture."""
