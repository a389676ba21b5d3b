"""Evaluation of detection."""
