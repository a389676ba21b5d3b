"""Encryption of the SQLite store: which values are sealed, its keys, and the work of sealing what is there."""
