"""Bidirectional streams: batches of items, and the frames of a camera."""
