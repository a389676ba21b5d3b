"""Thresholds from evidence."""
