"""Migrations to another embedding model in the PostgreSQL store."""
