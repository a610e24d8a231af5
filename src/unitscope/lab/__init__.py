"""The laboratory: a drawn world, networks trained on it, and the studies of the papers over them."""
