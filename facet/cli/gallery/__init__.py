"""``facet gallery``: list, delete, back up and transfer galleries."""
