"""Bounds the connections of the server: how many there are, and how long one may be of no use."""
