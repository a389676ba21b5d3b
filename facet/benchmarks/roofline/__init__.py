"""How close the models come to the hardware's limit."""
