"""Galleries: enrolled images that are searched by their features."""
