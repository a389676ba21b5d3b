"""How near the models come to what the machine can compute."""
