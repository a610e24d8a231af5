"""A microscope for the hidden units of vision networks."""

__version__ = "0.1.0"
