"""Files of libraries of sparse autoencoders, read without those libraries."""
