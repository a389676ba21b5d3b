"""A file per format.

``matches`` tells whether data begins like the format, ``walk`` checks it and keeps what its pixels need, and
``decode`` decodes what the walk kept.
"""
