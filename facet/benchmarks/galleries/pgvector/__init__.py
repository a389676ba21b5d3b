"""``facet bench pgvector``: searches by pgvector, the extension of PostgreSQL, compared with Facet's index."""
