"""A server resumes from the index files of its last start: loading with them, and writing them."""
