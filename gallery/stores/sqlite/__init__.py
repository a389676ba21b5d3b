"""The SQLite store: galleries in one file that one process owns."""
