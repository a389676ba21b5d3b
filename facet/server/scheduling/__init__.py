"""Which request runs when, on which thread, and which is refused."""
