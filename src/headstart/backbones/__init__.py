"""Pretrained networks: the catalogue, their weights, and reading every stage of them."""
