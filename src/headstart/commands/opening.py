"""Open: labelled images, for those who take the steps one by one."""

import os
from typing import Any

from headstart.data.images import Images
from headstart.options import OpenOptions
from headstart.tasks.opening import open_data
from headstart.watching import SilentWatcher, Watcher


def open_images(
    data: str | os.PathLike[str],
    *,
    watcher: Watcher | None = None,
    **options: Any,  # noqa: ANN401
) -> Images:
    """Open labelled images, check every file, and decide what is kept for the test.

    Args:
        data: A folder of class folders, a folder with train/ (val/) test/ of those, a CSV or
            Parquet file, or an archive of a folder.
        watcher: Follows the stages.
        options: See `OpenOptions`: test, group, seed, cache.

    Raises:
        DataError: Nothing usable is left, or there are fewer than two classes.
        OptionError: An option is wrong.
    """
    return open_data(data, OpenOptions.of(**options), watcher or SilentWatcher())
