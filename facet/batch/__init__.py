"""Identify everybody in many pictures: find them, ask a server, write a row for each, continue where it stopped."""
