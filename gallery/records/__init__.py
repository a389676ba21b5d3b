"""What is kept: galleries, subjects, templates, calibrations."""
