"""The immutable model: everything that turns an image into an answer, its bundle and its card."""
