"""Errors of a gallery in use, estimated from counts of similarities without labels, and whether something changed."""
