"""Evaluation of verification."""
