"""Commands that enrol and manage people."""
