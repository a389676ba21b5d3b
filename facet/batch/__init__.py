"""A program that identifies everybody in many pictures."""
