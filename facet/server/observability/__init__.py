"""Metrics, latencies, traces: how the server does."""
