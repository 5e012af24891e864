"""A labelling project: its journal, its labels, and which images to label next."""
