"""How nano was made: corpus, tokenizer, objective, forward, train. Not needed to run it."""
