"""Exports and imports, and the files that uploads are kept in."""
