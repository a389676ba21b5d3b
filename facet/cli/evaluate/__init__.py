"""``facet evaluate``: measure a server on labelled sets."""
