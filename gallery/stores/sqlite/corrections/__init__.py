"""Corrections in the SQLite store: subjects that were told apart, and changes that can be undone."""
