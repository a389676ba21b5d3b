"""Errors of a gallery in use, without labels, and what changed."""
