"""Indexes in memory that follow what other servers write to their common store."""
