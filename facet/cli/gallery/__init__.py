"""Commands that look after galleries."""
