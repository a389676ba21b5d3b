"""The background work of migrations to another embedding model."""
