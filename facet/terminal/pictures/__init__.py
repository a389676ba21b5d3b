"""Pictures of a program on a terminal: finding them in folders, reading them, and drawing on them."""
