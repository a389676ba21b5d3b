"""Sends a camera's frames to a server and handles the answers: a library, used by the command ``camera``."""
