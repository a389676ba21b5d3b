"""Calibration: a threshold for a target false-positive rate, chosen from nonmated searches."""
