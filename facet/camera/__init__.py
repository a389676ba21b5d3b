"""A program that sends frames of a camera and shows who is there."""
