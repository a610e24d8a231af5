"""What units of your network do: removal, erasure, placement, movement, raters."""
