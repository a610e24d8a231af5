"""Shards of WebDataset."""
