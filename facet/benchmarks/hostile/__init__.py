"""Attacks a server while well-behaved clients measure it."""
