"""Commands that evaluate a server on labelled sets."""
