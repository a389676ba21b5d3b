"""Canaries: a labelled set through a running server on a schedule, compared with its baseline."""
