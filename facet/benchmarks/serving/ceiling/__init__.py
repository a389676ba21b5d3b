"""How many requests a second one server process can feed to models, whatever these run on."""
