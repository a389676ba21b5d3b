"""Precision and recall of production, from what clients said about answers."""
