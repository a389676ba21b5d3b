"""Observations: what a gallery's searches looked like, counted by hour, without vectors and without persons."""
