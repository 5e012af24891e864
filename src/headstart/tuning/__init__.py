"""Step 6: unfreeze the last layers and go on with a low learning rate."""
