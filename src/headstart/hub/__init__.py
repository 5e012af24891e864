"""Models on the Hugging Face hub: push a bundle, and load one by its name."""
