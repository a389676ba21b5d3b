"""``facet bench calibration``: thresholds on people that a calibration has not seen, and contaminated galleries."""
