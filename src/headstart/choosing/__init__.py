"""Step 1 by measurement: trials of backbones on the user's images, the decision, the image size."""
