"""The command ``facet calibrate``: sets a gallery's threshold from evidence, after it has said what that will do."""
