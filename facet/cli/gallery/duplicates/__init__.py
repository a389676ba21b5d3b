"""The command ``facet gallery duplicates``."""
