"""The file of the SQLite store: locked, opened, written, guarded and replaced."""
