"""``facet gallery encryption``: keys of databases and of files."""
