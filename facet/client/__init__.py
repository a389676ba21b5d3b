"""The client: what a program imports to talk to a Facet server."""
