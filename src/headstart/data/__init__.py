"""Find, check and decode labelled images, and split them without leaks."""
