"""Corrections of who is who: merge subjects, move templates, undo that, and tell subjects apart."""
