"""What a unit may mean: images with named pixels."""
