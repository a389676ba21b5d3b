"""Frames of a camera in, who is there, who came and who left out: boxes are tied, and names decided, over time."""
