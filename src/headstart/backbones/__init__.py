"""Pretrained networks: the catalogue, weights, stages and layers, and pooled features."""
