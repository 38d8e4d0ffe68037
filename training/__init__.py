"""How the weights of the engine ``lite`` are made: see README.md."""
