"""Broden, and how it is fetched."""
