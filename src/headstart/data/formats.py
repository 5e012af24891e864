"""The image formats that are read, and how their files are recognised."""

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
"""Pillow's names of the formats that are decoded."""

SUFFIXES = frozenset(
    "." + name
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "webp", "gif", "bmp"),
        *("tif", "tiff", "ppm", "pgm", "avif", "jp2"),
    )
)
"""The suffixes of files that are taken for images of these formats."""
