"""How nano was made: its text, its objective, its training, its losses. Not needed to run it."""
