"""Searches a gallery among itself: subjects that are one person, and templates of somebody else."""
