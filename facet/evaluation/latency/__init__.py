"""Latency as a client sees it."""
