"""WebDataset shards: tar files with images, each beside a file of the same name with its label.

Follows https://github.com/webdataset/webdataset: files of a sample have the same name up to the
first dot, such as `0001.jpg` and `0001.cls`. The label is the text of `.cls`, "label" in `.json`,
or the text of `.txt`.
"""

import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath

from headstart.data.archives import DAMAGE, ArchiveLimits
from headstart.data.exports import part_of_file
from headstart.data.formats import SUFFIXES
from headstart.data.interpretation import Interpretation
from headstart.data.labels import cell_text, normalised
from headstart.data.listing import Source
from headstart.data.manifest import Entry
from headstart.data.path_groups import grouped_by_path
from headstart.data.paths import data_name, list_names
from headstart.data.staging import make_staging
from headstart.errors import DataError, OptionError, UnsafeArchive
from headstart.files import atomic_create, file_sha256

SHARD_SUFFIXES = (".tar", ".tar.gz", ".tgz")

_LABELS = (".cls", ".json", ".txt")
_KEYS = ("label", "class", "class_name")
# Members that are looked at to tell a shard from the archive of a folder.
_LOOKED_AT = 64
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}")
_SAMPLES = "samples.json"
# Increase it whenever a shard may be unpacked to other files.
_VERSION = 1


@dataclass(frozen=True)
class Shard:
    """A shard, which may not be on this machine yet.

    Attributes:
        name: Its name in messages.
        key: A hash of its content, or of what the store says about it.
        get: Returns its path.
        copied: Whether that is a copy, which is deleted when it is unpacked.
    """

    name: str
    key: str
    get: Callable[[], Path]
    copied: bool = False

    @classmethod
    def of(cls, path: Path) -> "Shard":
        """Return the shard of a file."""
        return cls(path.name, file_sha256(path), lambda: path)


@dataclass(frozen=True)
class Sample:
    """An image of a shard.

    Attributes:
        name: Its name in the shard.
        file: The name of its file where the shard is unpacked.
        label: Its label; None without one.
    """

    name: str
    file: str
    label: str | None


def is_shard_name(name: str) -> bool:
    """Return whether a file may be a shard by its name."""
    return name.lower().endswith(SHARD_SUFFIXES)


def is_shard(path: Path) -> bool:
    """Return whether a tar file has images with labels beside them, rather than class folders."""
    try:
        with tarfile.open(path) as tar:
            names = [PurePosixPath(info.name) for info in islice(tar, _LOOKED_AT) if info.isfile()]
    except (*DAMAGE, OSError):
        return False
    keys = list(map(_key, names))
    images = {stem for stem, suffix in keys if suffix in SUFFIXES}
    labelled = [suffix for stem, suffix in keys if suffix in _LABELS and stem in images]
    in_folders = any(len(name.parts) > 1 for name in names)
    # Boxes are in .json and .txt files beside images, too, but never in .cls.
    return ".cls" in labelled or (bool(labelled) and not in_folders and _has_label(path))


def expand(pattern: str) -> list[str]:
    """Return the names that a pattern such as "train-{000..009}.tar" or "{a,b}.tar" means."""
    found = _RANGE.search(pattern)
    if found is None:
        return [pattern]
    first, last, listed = found.groups()
    middles = (
        listed.split(",")
        if listed is not None
        else [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    )
    head, tail = pattern[: found.start()], pattern[found.end() :]
    return [name for middle in middles for name in expand(f"{head}{middle}{tail}")]


def is_pattern(text: str) -> bool:
    """Return whether a text is the pattern of names of shards."""
    return is_shard_name(text) and _RANGE.search(text) is not None


def shards_in(folder: Path) -> list[Path]:
    """Return the files of a folder if all are shards; else none."""
    files = [file for file in sorted(folder.iterdir()) if not file.name.startswith(".")]
    tars = [file for file in files if file.is_file() and is_shard_name(file.name)]
    others = [file for file in files if file not in tars]
    beside = all(file.suffix.lower() in (".json", ".txt", ".md", ".tsv") for file in others)
    return tars if tars and beside and any(map(is_shard, tars)) else []


def local_shards(pattern: str) -> list[Shard]:
    """Return the shards that a pattern names.

    Raises:
        DataError: Some do not exist.
    """
    paths = [Path(name).expanduser() for name in expand(pattern)]
    if missing := [str(path) for path in paths if not path.is_file()]:
        raise DataError(f"Of the shards '{pattern}', these do not exist: {list_names(missing)}.")
    return [Shard.of(path) for path in paths]


def read_shards(
    data: str, shards: Sequence[Shard], staging: Path, interpretation: Interpretation
) -> Source:
    """List the images of shards; those of a damaged shard are left out.

    Args:
        data: What the user passed.
        shards: The shards. If all are named after parts of a split, they are these parts.
        staging: Folder for the images.
        interpretation: How they are to be understood. The group is a regular expression on the name
            of an image, which begins with that of its shard; there are no slices.

    Raises:
        DataError: All are damaged, or another task than one label per image was asked for.
        OptionError: An option has no effect.
    """
    labelling = interpretation.labelling
    if labelling.task not in ("auto", "single"):
        raise DataError(
            f"'{data}' is a set of shards, which have one label per image. Omit --task "
            f"{labelling.task}, or pass a table with the columns path and labels."
        )
    labelling.check("for shards")
    if slices := interpretation.slices:
        raise OptionError(f"--slices '{','.join(slices)}' names columns, which shards do not have.")
    entries, damaged = list[Entry](), list[str]()
    for shard in shards:
        try:
            entries += _entries(shard, staging)
        except UnsafeArchive:
            raise
        except DataError as error:
            damaged.append(str(error).rstrip("."))
    if len(damaged) == len(shards):
        raise DataError(f"No shard of '{data}' can be read. {damaged[0]}.")
    parts = {shard.name: part_of_file(Path(shard.name)) for shard in shards}
    if all(parts.values()):
        entries = [replace(entry, split=parts[entry.image.partition("/")[0]]) for entry in entries]
    warnings = (f"Left out, because they are damaged: {'; '.join(damaged)}.",) if damaged else ()
    understood = [f"Shards: {len(shards) - len(damaged):,}, with labels beside the images."]
    if all(parts.values()):
        understood.append("Split: the names of the shards.")
    source = Source(data_name(data), entries, tuple(understood), warnings)
    return grouped_by_path(source, interpretation.group)


def samples_of(shard: Shard, staging: Path) -> Iterator[tuple[Sample, Path]]:
    """Yield the images of a shard with the paths of their files, unpacked once.

    Raises:
        DataError: The shard is damaged.
    """
    folder = make_staging(staging / "shards") / f"{shard.key}-{_VERSION}"
    if not folder.is_dir():
        path = shard.get()
        try:
            with atomic_create(folder) as partial:
                _unpack(path, partial)
        except DAMAGE as error:
            raise DataError(f"'{shard.name}' is damaged ({error}).") from None
        except OSError as error:
            raise DataError(f"'{shard.name}' cannot be unpacked: {error.strerror}.") from None
        finally:
            if shard.copied:
                path.unlink(missing_ok=True)
    for values in json.loads((folder / _SAMPLES).read_bytes()):
        sample = Sample(**values)
        yield sample, folder / sample.file


def _entries(shard: Shard, staging: Path) -> Iterator[Entry]:
    for sample, path in samples_of(shard, staging):
        label = normalised(sample.label) if sample.label else None
        rejected = None if label else "it has no label in a .cls, .json or .txt file beside it"
        yield Entry(f"{shard.name}/{sample.name}", str(path), label, rejected=rejected)


def _unpack(path: Path, into: Path) -> None:
    """Write the images of a shard into a folder, and the list of them."""
    into.mkdir(parents=True)
    images, labels = dict[str, tuple[str, str]](), dict[str, dict[str, str | None]]()
    remaining = ArchiveLimits().max_bytes
    with tarfile.open(path) as tar:
        for info in tar:
            stem, suffix = _key(PurePosixPath(info.name))
            opened = tar.extractfile(info) if info.isfile() else None
            if opened is None:
                continue
            remaining -= info.size
            if remaining < 0:
                raise UnsafeArchive(f"'{path.name}' unpacks to more than the limit for archives.")
            if suffix in SUFFIXES and stem not in images:
                images[stem] = (info.name, f"{len(images):08d}{suffix}")
                (into / images[stem][1]).write_bytes(opened.read())
            elif suffix in _LABELS:
                labels.setdefault(stem, {})[suffix] = _label(suffix, opened.read())
        _check_end(tar)
    samples = [
        Sample(name, file, _first(labels.get(stem, {}))) for stem, (name, file) in images.items()
    ]
    (into / _SAMPLES).write_text(json.dumps([asdict(one) for one in samples]), encoding="utf-8")


def _check_end(tar: tarfile.TarFile) -> None:
    """Check that the mark of the end follows the last member.

    Garbage there, or nothing, is the end for tarfile, although members may have been lost.
    """
    assert tar.fileobj
    tar.fileobj.seek(tar.offset)
    block = tar.fileobj.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"it was cut off at byte {tar.offset:,}")
    if block.strip(b"\0"):
        raise tarfile.ReadError(f"no header at byte {tar.offset:,}")


def _key(name: PurePosixPath) -> tuple[str, str]:
    """Return the name of a sample, up to the first dot of a file's name, and the rest."""
    stem, dot, suffix = name.name.partition(".")
    return str(name.parent / stem), f"{dot}{suffix.lower()}"


def _label(suffix: str, content: bytes) -> str | None:
    try:
        text = content.decode().strip()
        if suffix != ".json":
            return text or None
        values = json.loads(text)
    except ValueError:
        return None
    found: Iterable[object] = (values.get(key) for key in _KEYS) if isinstance(values, dict) else ()
    named = next((value for value in found if value is not None), None)
    return cell_text(named) if isinstance(named, (str, int)) else None


def _first(labels: dict[str, str | None]) -> str | None:
    return next((labels[suffix] for suffix in _LABELS if labels.get(suffix)), None)


def _has_label(path: Path) -> bool:
    """Return whether the first file of a label in a tar has one rather than boxes or a caption."""
    with tarfile.open(path) as tar:
        for info in islice(tar, _LOOKED_AT):
            suffix = PurePosixPath(info.name).suffix.lower()
            if suffix in _LABELS and (opened := tar.extractfile(info)):
                label = _label(suffix, opened.read())
                return label is not None and len(label.split()) < len(_BOX)
    return False


# What a line of YOLO has; few labels have as many words.
_BOX = ("class", "x", "y", "width", "height")
