"""Directions of a layer's space as units: sparse autoencoders, rotations, components, probes."""
