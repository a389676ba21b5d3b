"""Finds the faces of a picture (SCRFD), aligns them to the ArcFace template and embeds them."""
