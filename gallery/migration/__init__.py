"""The migration of a gallery from one embedding model to another."""
