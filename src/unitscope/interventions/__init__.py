"""What units do: edits of hidden layers, and what comes out of them."""
