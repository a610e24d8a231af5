"""How labelled images lie on disk, and how published sets are fetched."""
