"""Explanations of predictions: which parts of an image speak for a class."""
