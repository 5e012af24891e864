"""Where predictions are written: to a file, or to a URL in an object store.

Predictions for a URL are kept in the cache of this machine until all are done. The object appears
in one step, when all of it is there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from headstart.cache import cache_folder
from headstart.errors import DataError, OutputError
from headstart.files import digest, remove
from headstart.options import PredictionFormat
from headstart.runs.predictions import check_output, check_suffix
from headstart.runs.unfinished_predictions import is_being_finished
from headstart.urls import is_on_web, url_name, url_of

_DIGITS = 16


@dataclass(frozen=True)
class Output:
    """The output of a prediction.

    Attributes:
        file: The file that is written on this machine.
        url: Where it is copied when it is complete; None if it stays.
    """

    file: Path
    url: str | None = None

    @classmethod
    def of(cls, out: Path, cache: Path | None) -> Self:
        """Return the output for a path or a URL.

        Args:
            out: The path or the URL.
            cache: The cache folder, which keeps what is for a URL until that is complete.
        """
        url = url_of(out)
        if url is None:
            return cls(out)
        folder = cache_folder(cache) / "predictions" / digest({"url": url})[:_DIGITS]
        return cls(folder / url_name(url), url)

    @property
    def place(self) -> Path | str:
        """The path or the URL."""
        return self.url or self.file

    def check(self, *, overwrite: bool, format_: PredictionFormat = "headstart") -> None:
        """Check that it can be written, before any work is done.

        Raises:
            OptionError: See `check_output`.
            OutputError: See `check_output`; or the object store cannot be reached or refuses.
        """
        overwrite = overwrite or is_being_finished(self.file)
        if self.url is None:
            check_output(self.file, overwrite=overwrite, format_=format_)
            return
        check_suffix(self.url, format_)
        if is_on_web(self.url):
            raise OutputError(f"Output '{self.url}' is a URL that cannot be written.")
        from headstart.data.remote import check_writable, state_of  # Arrow is slow to import.

        try:
            exists = state_of(self.url) is not None
            check_writable(self.url)
        except DataError as error:
            raise OutputError(f"Output {error}") from None
        if exists and not overwrite:
            raise OutputError(
                f"Output '{self.url}' already exists. Pass --overwrite (overwrite=True) to replace "
                "it."
            )

    def publish(self) -> None:
        """Copy the complete file to the URL, if there is one.

        Raises:
            OutputError: The object store cannot be reached or refuses.
        """
        if self.url is None:
            return
        from headstart.data.remote import upload

        try:
            upload(self.file, self.url)
        except DataError as error:
            raise OutputError(f"Output {error} All predictions are in '{self.file}'.") from None
        remove(self.file)
