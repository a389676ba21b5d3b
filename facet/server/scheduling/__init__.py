"""Admission control: which request runs next, on which thread, and which is refused."""
