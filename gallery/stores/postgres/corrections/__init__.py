"""Corrections of who is who in the PostgreSQL store."""
