"""URLs as text: which names are URLs, and of what kind; `data.remote` reads what they name."""

import os
import re

from headstart.cores import cores

# Path libraries merge the slashes of a URL, and a single letter is a drive of Windows.
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://|"
    r"(?P<merged>https?|ftps?|file|s3|gs|gcs|az|abfss?|hdfs|hf|memory):/",
    re.IGNORECASE,
)
# Most of the time, a thread that reads from an object store waits for it.
_THREADS = 16
_WEB = frozenset(("http", "https", "ftp", "ftps", "sftp", "file", "data"))


def is_url(text: str) -> bool:
    """Return whether a text is a URL, also after a path library has merged its slashes."""
    return _URL.match(text) is not None


def scheme_of(url: str) -> str:
    """Return the scheme of a URL, such as "s3"."""
    return url.partition(":")[0].lower()


def is_on_web(url: str) -> bool:
    """Return whether a URL is one of the web or of a file server rather than of an object store."""
    return scheme_of(url) in _WEB


def url_of(path: str | os.PathLike[str]) -> str | None:
    """Return a path as the URL that it is, with both slashes and none at its end; else None."""
    text = os.fspath(path)
    found = _URL.match(text)
    if found is None:
        return None
    rest = text[found.end() :].lstrip("/") if found["merged"] else text[found.end() :]
    return f"{scheme_of(text)}://{rest.rstrip('/')}"


def reading_threads(path: str) -> int:
    """Return how many threads should read files like this: more if they wait for a store."""
    return max(cores(), _THREADS) if is_url(path) else cores()


def url_name(url: str) -> str:
    """Return the last part of a URL, that of its file or folder."""
    return url.rpartition("/")[2]


def url_folder(url: str) -> str:
    """Return the URL of the folder of a file."""
    return url.rpartition("/")[0]
