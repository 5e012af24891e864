"""A labelling project: a folder of images, and a journal of what was said about them."""

import filecmp
import threading
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from headstart.data.archives import is_archive, unpack
from headstart.data.formats import is_image_file, is_named_like_image
from headstart.errors import DataError, OutputError, ProjectError, reason_of
from headstart.files import Locked, locked, write_atomically
from headstart.json_log import JsonLog
from headstart.studio.acts import Act, Add, Drop, Found, Label, act_of, row_of
from headstart.studio.folder import images_in
from headstart.studio.labels import Labels
from headstart.studio.table import TABLE, table_of

HIDDEN = ".studio"
"""The folder of the journal and of the images that were dropped into the project."""
_IMAGES, _ARCHIVES = "images", "archives"


class Project:
    """A project that is open in this process only. Several threads may use it.

    Everything that a person does is on the disk before `do` returns. The user's own files are never
    changed: images that are dropped into the project lie in a hidden folder.

    Args:
        folder: The folder, which is created if it does not exist.

    Raises:
        ProjectError: Another process has it open.
        OutputError: It cannot be written.
        DataError: It cannot be read.

    Attributes:
        folder: The folder.
        labels: The classes and the images. Read them within `lock`.
        lock: Held while they change.
        damaged: The number of lines of the journal that could not be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.labels, self.lock = folder, Labels(), threading.RLock()
        self._hidden = folder / HIDDEN
        self._open = ExitStack()
        _make_writable(self._hidden)
        try:
            self._open.enter_context(locked(self._hidden / "lock"))
        except Locked:
            raise ProjectError(
                f"Another studio has '{folder}' open. Use that one, or end it with Ctrl-C."
            ) from None
        try:
            self._check_table()
            self._log = JsonLog(self._hidden / "journal.jsonl", "Labels")
            self.damaged = self._replay()
            self.find_new()
        except BaseException:
            self._open.close()
            raise

    def __enter__(self) -> Self:
        """Return the project."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it, with its table up to date."""
        try:
            self.write_table()
        finally:
            self._open.close()

    def do(self, act: Act) -> None:
        """Do something, and return when it is on the disk. What changes nothing is not kept.

        Raises:
            ProjectError: It is impossible.
            OutputError: It cannot be written, and nothing has changed.
        """
        with self.lock:
            if not self.labels.changes(act):
                return
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self._log.append([{"time": now, **row_of(act)}])
            self.labels.apply(act)

    def find_new(self) -> int:
        """Add the images that have come into the folder, and return how many they are."""
        with self.lock:
            found = [each for each in images_in(self.folder) if each.image not in self.labels.items]
            if found:
                self.do(Add(tuple(found)))
            return len(found)

    @property
    def incoming(self) -> Path:
        """The folder for files that are being received; `add_file` moves them from there."""
        return self._hidden / "incoming"

    def add_file(self, name: str, file: Path, labels: tuple[str, ...], group: str) -> list[str]:
        """Move a file that was dropped into the project, and return the paths of its images.

        An archive is unpacked; its class folders become labels. Of a file with the same name and
        content as an earlier one, only the labels are taken, if that has none; and if it was left
        out, it is taken in again.

        Args:
            name: Its name, as the browser sent it.
            file: The file, in the folder `incoming`.
            labels: The labels of its image.
            group: The group of its image; "" if it is alone.

        Raises:
            DataError: It is neither an image nor an archive that can be read.
            OutputError: It cannot be written.
        """
        plain = _plain_name(name)
        if is_archive(Path(plain)):
            found = self._unpacked(plain, file)
        elif is_named_like_image(plain) or is_image_file(file):
            found = [Found(self._name_of(self._place_of(plain, file)), labels, group)]
        else:
            raise DataError(f"'{plain}' is not an image.")
        images = tuple(each.image for each in found)
        with self.lock:
            known = [name for name in images if name in self.labels.items]
            new = tuple(each for each in found if each.image not in self.labels.items)
            if new:
                self.do(Add(new))
            if known:
                self.do(Drop(tuple(known), dropped=False))
            if labels and (bare := [n for n in known if self.labels.items[n].labels is None]):
                self.do(Label(dict.fromkeys(bare, labels)))
        return list(images)

    def path_of(self, image: str) -> Path:
        """Return the file of an image.

        Raises:
            ProjectError: It is not in the project.
        """
        with self.lock:
            if image not in self.labels.items:
                raise ProjectError(f"Image '{image}' is not in the project.")
        return self.folder / image

    def write_table(self) -> Path:
        """Write the labels of all images that have some as a table that `train` reads.

        Raises:
            OutputError: It cannot be written.
        """
        with self.lock:
            text = table_of(self.labels.kind, self.labels.items.items())
        path = self.folder / TABLE
        try:
            write_atomically(path, text)
        except OSError as error:
            raise OutputError(
                f"Labels cannot be written to '{path}': {reason_of(error)}."
            ) from None
        return path

    def _check_table(self) -> None:
        """Check that the table is not another one, which it would replace.

        Raises:
            ProjectError: It is.
        """
        table = self.folder / TABLE
        if table.exists() and not (self._hidden / "journal.jsonl").exists():
            raise ProjectError(
                f"The studio writes labels to '{table}', which is there already and not from the "
                "studio. Rename it."
            )

    def _replay(self) -> int:
        """Do again what the journal says, and return how many of its lines say nothing."""
        unknown = 0
        for row in self._log.read():
            try:
                self.labels.apply(act_of(row))
            except (ValueError, ProjectError):
                unknown += 1
        return unknown + self._log.damaged

    def _unpacked(self, name: str, file: Path) -> list[Found]:
        """Unpack an archive, and return its images.

        Raises:
            DataError: It cannot be read, or has no images.
        """
        archive = file.with_name(f"archive-{name[-40:]}")  # Its suffix says how it is read.
        file.rename(archive)
        try:
            folder = unpack(archive, self._hidden / _ARCHIVES)
        except DataError as error:
            raise DataError(str(error).replace(str(archive), name)) from None
        finally:
            archive.unlink()
        found = images_in(folder)
        if not found:
            raise DataError(f"'{name}' has no images.")
        return [replace(each, image=self._name_of(folder / each.image)) for each in found]

    def _name_of(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _place_of(self, name: str, file: Path) -> Path:
        """Move a file to a name that no other content has."""
        stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
        folder = self._hidden / _IMAGES
        number, path = 1, folder / name
        try:
            folder.mkdir(exist_ok=True)
            with self.lock:
                while path.exists() and not filecmp.cmp(path, file, shallow=False):
                    number += 1
                    path = folder / f"{stem}-{number}{suffix}"
                file.replace(path)
        except OSError as error:
            raise OutputError(f"'{name}' cannot be kept: {reason_of(error)}.") from None
        return path


def _plain_name(name: str) -> str:
    """Return the name of a file that a browser sent, without folders and without surprises."""
    last = PurePosixPath(name.replace("\\", "/")).name.strip(".")
    return "".join(each if each.isprintable() else "_" for each in last) or "image"


def _make_writable(folder: Path) -> None:
    """Create a folder, and check that files can be written in it.

    Raises:
        OutputError: They cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / ".writable", "")
        (folder / ".writable").unlink()
    except OSError as error:
        raise OutputError(
            f"The studio keeps its labels in '{folder}', which cannot be written: "
            f"{reason_of(error)}. Choose another folder, or copy the images to one."
        ) from None
