"""Estimates without labels and drift, on replays of a labelled set."""
