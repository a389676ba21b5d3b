"""Searches a share of live identifications with both models of a migration, and adds up how they agree."""
