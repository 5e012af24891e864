"""Labelled boxes: read and write the usual formats, and place boxes in images as they are seen."""
