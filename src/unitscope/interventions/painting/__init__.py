"""Strokes on a generator's picture become edits of units."""
