"""Extract features with a frozen network, once per image, and keep them in the feature store."""
