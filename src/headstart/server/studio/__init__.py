"""The studio: a page on which people label images and see what a model learns from them."""
