"""Step 1: choose the backbone by trials on the user's images, and the image size."""
