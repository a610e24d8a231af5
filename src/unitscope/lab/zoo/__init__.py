"""Small networks trained on the drawn world: architectures, recipes, training, weights."""
