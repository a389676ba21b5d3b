"""The command group ``facet certs``."""
