"""``facet gallery copy``: galleries from one server to another."""
