"""Frames of a camera in; tracks and events out: who is there, who came, who left."""
