"""What a gallery stores, and what it answers: galleries, subjects, templates, calibrations, identifications."""
