"""How good a model is, with intervals; and probabilities that mean what they say."""
