"""Export and import of whole galleries."""
