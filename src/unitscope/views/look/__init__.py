"""The live microscope: the server that lets people look through the units of a classifier."""
