"""Metrics with confidence intervals, comparison of models, and calibrated probabilities."""
