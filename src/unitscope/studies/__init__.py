"""Experiments: each module one study, saved as tables and figures."""
