"""Comparison of two recognition models on the same faces."""
