"""What is dissected: networks, their layers, their preprocessing."""
