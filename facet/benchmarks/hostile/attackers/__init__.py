"""Attackers: each one way to harm a server."""
