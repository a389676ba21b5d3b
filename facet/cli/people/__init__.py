"""Commands that enrol, list, show, rename and forget people."""
