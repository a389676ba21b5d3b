"""Searches of a picture for faces: turned, in tiles, and which way up it is."""
