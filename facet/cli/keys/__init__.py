"""The command ``facet keys``: who may call a server."""
