"""Containers of several formats: boxes of ISO base media files, their items, and directories of TIFF."""
