"""The callers in the file of callers, known by a key, a certificate or the subject of a token."""
