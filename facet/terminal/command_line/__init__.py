"""The command line: groups of commands, their options and help, and how a command is typed."""
