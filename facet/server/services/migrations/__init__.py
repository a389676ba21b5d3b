"""Migrations of galleries to another embedding model: their steps, the gaps, and how both models agree."""
