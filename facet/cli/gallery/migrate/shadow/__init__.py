"""The comparison of both models on live identifications: asked for, shown, and written as a page."""
