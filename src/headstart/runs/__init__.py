"""A run: the folder that a training writes, whole or not at all."""
