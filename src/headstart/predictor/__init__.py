"""The predictor: the immutable trained model, its bundle on disk and its model card."""
