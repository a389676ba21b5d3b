"""``facet bench migration``: a gallery migrates to another embedding model and back, under load."""
