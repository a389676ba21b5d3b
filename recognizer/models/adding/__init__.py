"""Models as people get them, converted into the form that the server reads."""
