"""The ids of answers, and what clients say about these answers afterwards."""
