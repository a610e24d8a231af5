"""The experiments of the papers, replicated."""
