"""Evaluation of open-set identification."""
