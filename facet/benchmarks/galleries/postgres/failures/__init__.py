"""Servers and their PostgreSQL that are killed while clients enrol."""
