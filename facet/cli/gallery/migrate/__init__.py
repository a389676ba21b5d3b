"""The command ``facet gallery migrate``: takes a gallery to another embedding model while it is searched."""
