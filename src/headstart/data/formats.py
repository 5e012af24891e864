"""The image formats that are read, and how their files are recognised."""

from pathlib import Path, PurePath

from headstart.data.heif import is_heif
from headstart.data.medical.files import DICOM_HEAD, DICOM_SUFFIXES, is_dicom, is_nifti

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "HEIF")
"""Pillow's names of the formats that are decoded."""

SUFFIXES = frozenset(
    "." + name
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "gif", "bmp", "dib"),
        *("tif", "tiff", "ppm", "pgm", "pbm", "pnm", "avif", "heic", "heif", "hif"),
        *("jp2", "j2k", "j2c", "jpc", "jpf", "jpx", "dcm", "dicom", "dic", "nii"),
    )
)
"""The suffixes of files that are taken for images of these formats."""

UNSUPPORTED = frozenset(
    "." + name
    for name in (
        *("dng", "crw", "cr2", "cr3", "nef", "nrw", "arw", "srf", "sr2", "raf", "orf", "rw2"),
        *("rwl", "pef", "srw", "raw", "3fr", "fff", "iiq", "mos", "erf", "kdc", "dcr", "mrw"),
        *("x3f", "gpr", "psb", "qoi", "xbm", "xpm", "sgi", "pfm", "mng", "heics"),
        *("svg", "svgz", "eps", "ai", "psd", "xcf", "ico", "icns", "tga", "pcx", "emf", "wmf"),
        *("jxl", "jxr", "wdp", "exr", "hdr", "dds", "fits", "mha", "mhd", "nrrd"),
    )
)
"""The suffixes of image files that are not read, although Pillow might read a preview in them."""

OTHERS = frozenset(
    "." + name
    for name in (
        *("txt", "csv", "tsv", "json", "jsonl", "xml", "yaml", "yml", "md", "rst", "html", "htm"),
        *("py", "ipynb", "log", "parquet", "arrow", "pdf", "doc", "docx", "xls", "xlsx", "ini"),
        *("zip", "tar", "gz", "tgz", "7z", "rar", "npy", "npz", "pkl", "h5", "mat", "db", "lnk"),
        *("mp4", "mov", "avi", "mkv", "webm", "mp3", "wav", "aae", "xmp"),
    )
)
"""The suffixes of files beside the images of a data set, which are not opened."""

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl")
"""The suffixes of the tables that are read."""

# The longest of the patterns below, with what stands before it.
_HEAD = DICOM_HEAD
_STARTS = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"\0\0\0\x0cjP  \r\n\x87\n",
    b"\xff\x4f\xff\x51",
)
_BRANDS = (b"avif", b"avis", b"mif1", b"msf1")


def is_image_file(file: Path) -> bool:
    """Return whether a file is an image, by its suffix, or by its first bytes if that says nothing.

    Images of formats that are not read count as images, so that they are named.
    """
    if is_named_like_image(file.name):
        return True
    return file.suffix.lower() not in OTHERS and _starts_like_image(file)


def is_named_like_image(name: str) -> bool:
    """Return whether a file is an image by its suffix, also if its format is not read."""
    suffix = PurePath(name).suffix.lower()
    return suffix in SUFFIXES or suffix in UNSUPPORTED or is_nifti(Path(name))


def is_table(path: PurePath) -> bool:
    """Return whether a file name has the suffix of a supported table."""
    return path.suffix.lower() in TABLE_SUFFIXES


def is_dicom_file(file: Path) -> bool:
    """Return whether a file is DICOM, by its suffix, or by its first bytes if that says nothing."""
    suffix = file.suffix.lower()
    if suffix in DICOM_SUFFIXES:
        return True
    if suffix in SUFFIXES or suffix in UNSUPPORTED or suffix in OTHERS:
        return False
    return is_dicom(_head(file))


def format_problem(file: Path) -> str | None:
    """Return why the format of an image file is not read; None if it is."""
    suffix = file.suffix.lower()
    if suffix not in UNSUPPORTED:
        return None
    return f"{suffix} files are not supported; convert it to .png or .jpg"


def _head(file: Path) -> bytes:
    """Return the first bytes of a file; none if it cannot be read."""
    try:
        if not file.is_file():  # Opening a pipe would wait for ever.
            return b""
        with file.open("rb") as opened:
            return opened.read(_HEAD)
    except OSError:
        return b""


def _starts_like_image(file: Path) -> bool:
    head = _head(file)
    return (
        head.startswith(_STARTS)
        or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")
        or is_heif(head)
        or is_dicom(head)
        or (head[4:8] == b"ftyp" and head[8:12] in _BRANDS)
    )
