"""Model files, inference sessions, decoding of pictures, and settings of the process."""
