"""Directions fitted to the cells of a layer: autoencoders, components, probes."""
