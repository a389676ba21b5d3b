"""How a call runs: its places, its messages, its limits, and its end."""
