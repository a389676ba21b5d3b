"""The command ``facet audit``."""
