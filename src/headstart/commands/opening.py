"""Open: labelled images, for use from Python."""

import os
from typing import Any

from headstart.data.images import Images
from headstart.options import OpenOptions
from headstart.tasks.opening import open_data
from headstart.watching import LibraryWatcher, Watcher


def open_images(
    data: str | os.PathLike[str],
    *,
    watcher: Watcher | None = None,
    **options: Any,  # noqa: ANN401
) -> Images:
    """Open labelled images, check every file, and split them into training and test images.

    Args:
        data: A folder with one subfolder per class, a folder with train/ (val/) and test/ of such
            folders, a CSV or Parquet file, or an archive of a folder.
        watcher: Receives progress and warnings.
        options: See `OpenOptions`: test, group, seed, cache.

    Raises:
        DataError: No usable images are left, or there are fewer than two classes.
        OptionError: An option is invalid.
    """
    return open_data(data, OpenOptions.of(**options), watcher or LibraryWatcher())
