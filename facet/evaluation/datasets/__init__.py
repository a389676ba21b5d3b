"""Readers of labelled sets."""
