"""The version of the package, recorded in every run."""

__version__ = "0.1.0"
