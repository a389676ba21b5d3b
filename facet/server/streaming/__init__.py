"""Streams both ways: batches of pictures, and the frames of a camera."""
