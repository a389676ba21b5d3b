"""Export of a gallery to a file, and import of such a file."""
