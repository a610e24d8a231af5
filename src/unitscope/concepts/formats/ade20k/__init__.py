"""ADE20K in its three forms."""
