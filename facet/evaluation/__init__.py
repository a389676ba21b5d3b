"""Labelled sets in, figures out, through the service as any client reaches it."""
