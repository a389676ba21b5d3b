"""Files that hold segments of an index, so that a server resumes from them and processes share them."""
