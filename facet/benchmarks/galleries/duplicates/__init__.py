"""``facet bench duplicates``: duplicates that are found, findings that are right, and speed."""
