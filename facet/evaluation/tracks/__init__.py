"""Evaluation of tracks over a clip."""
