"""Removal of the copies of rows that SQLite leaves in the file when it moves them."""
