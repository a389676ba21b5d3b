"""Where a migration stands: its two models, its progress, and the commands that come next."""
