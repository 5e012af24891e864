"""The frozen network's output for each image: computed once, kept, and read again."""
