"""What programs on a terminal have in common: output, progress, signals, tables and drawings."""
