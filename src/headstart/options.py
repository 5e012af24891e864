"""Every option, once: its meaning, its default and the reason for the default.

The command line's help and Python's keywords both come from these classes.
"""

from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from platformdirs import user_cache_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headstart.errors import OptionError, suggestion

FeaturesOption = Literal["auto", "last", "multilevel", "flatten"]
HeadOption = Literal["auto", "linear", "kernel", "mlp", "nearest"]
DeviceOption = Literal["auto", "cpu", "cuda"]
PrecisionOption = Literal["auto", "bf16", "float32"]

AugmentOption = Literal["none", "flip", "standard", "dihedral", "strong"]
OrientationsOption = Literal["one", "mirror", "dihedral"]
RecipeOption = Literal["headstart", "tutorial"]

PART = "auto|all|stages:[1-9][0-9]*|layers:[1-9][0-9]*"
# What is said instead of a regular expression.
_PATTERNS = {"tune": "It must be none, auto, all, stages:N or layers:N, N from 1"}

# How many views there are, where they can be counted.
_DIFFERENT = {"none": 1, "flip": 2, "dihedral": 8}
# What --tune auto may take without --minutes.
_AUTO_MINUTES = 10.0

LenientPath = Annotated[Path, Field(strict=False)]


class Options(BaseModel):
    """A frozen, strict set of options: unknown names and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @classmethod
    def of(cls, **values: Any) -> Self:  # noqa: ANN401
        """Build the options, or say which one is wrong and what would be right.

        Raises:
            OptionError: An unknown name (the nearest known ones are suggested) or a wrong value.
        """
        for name in values:
            if name not in cls.model_fields:
                hint = suggestion(name, cls.model_fields)
                raise OptionError(f"Unknown option '{name}'.{hint}")
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            why = _PATTERNS.get(name, first["msg"])
            raise OptionError(f"Option '{name}' cannot be {first['input']!r}: {why}.") from None


class DecodeLimits(Options):
    """What a single image file may cost."""

    max_bytes: int = Field(256 * 2**20, gt=0, description="Largest file, in bytes.")
    max_pixels: int = Field(
        100_000_000,
        gt=0,
        le=178_956_970,  # Pillow refuses more, whatever it is told.
        description="Largest width x height; stops decompression bombs.",
    )


class ArchiveLimits(Options):
    """What an archive may unpack to."""

    max_files: int = Field(1_000_000, gt=0, description="Most members.")
    max_bytes: int = Field(64 * 2**30, gt=0, description="Most bytes when unpacked.")


class CacheOptions(Options):
    """Where computed features, converted networks and unpacked archives are kept."""

    cache: LenientPath | None = Field(
        None, description="Folder for computed features (default: the user's cache folder)."
    )


class OpenOptions(CacheOptions):
    """How images are opened and split."""

    test: float = Field(
        0.2, ge=0.0, lt=1.0, description="Share of the images kept for the final test."
    )
    group: str | None = Field(
        None,
        description="Keep images together that belong together: a column of the table, or a "
        "regular expression whose first group is read from the path, like '(patient[0-9]+)'.",
    )
    seed: int = Field(0, ge=0, description="Changes the split, the folds and every random draw.")


class ComputeOptions(CacheOptions):
    """How the backbone is run."""

    device: DeviceOption = Field(
        "auto", description="Where the backbone runs: auto takes a GPU if there is one."
    )
    precision: PrecisionOption = Field(
        "auto",
        description="Numbers of the backbone: auto times bf16 and float32 once on this processor "
        "and takes bf16 where it is at least 5 % faster.",
    )


class RunOptions(CacheOptions):
    """Where a run is written."""

    out: LenientPath | None = Field(
        None, description="Folder to write the run to (default: runs/NAME-OF-THE-DATA)."
    )
    overwrite: bool = Field(
        False, description="Replace the folder that --out names, if it is a run."
    )


class TryOptions(OpenOptions, ComputeOptions):
    """How backbones are tried on images."""

    backbones: str | None = Field(
        None,
        description="What to try, NAME or NAME=WEIGHTS, separated by commas "
        "(default: every backbone whose weights are on this machine).",
    )
    sample: int = Field(2000, ge=20, description="Training images to try them on, at most.")
    budget_ms: float | None = Field(
        None,
        gt=0,
        description="Most milliseconds for one image on this machine, when many are told at once.",
    )
    image_size: int | None = Field(
        None,
        ge=32,
        le=2048,
        description="Pixels of a side that the backbone sees "
        "(default: what it was made for, or up to half more when the photos are larger).",
    )


class RecommendOptions(RunOptions, TryOptions):
    """Options of `recommend`: what to try backbones on, and which ones."""


class BackbonesOptions(ComputeOptions):
    """Options of `backbones`."""

    measure: bool = Field(
        False, description="Run each on this machine: images per second, and how exact."
    )


class TuneOptions(Options):
    """How the last layers are fine-tuned."""

    epochs: int = Field(10, ge=1, description="Epochs of fine-tuning, at most.")
    learning_rate: float | None = Field(
        None,
        gt=0,
        description="Highest learning rate of fine-tuning; lower layers get less "
        "(default: 2e-4; with EfficientNet-Lite 5e-7 for each image, if that is more, up to 2e-3).",
    )
    augment: AugmentOption = Field(
        "flip",
        description="How views of an image differ in fine-tuning; dihedral for images without an "
        "up, such as cells or tissue.",
    )
    views: int = Field(
        4,
        ge=1,
        le=64,
        description="Views of each image that the boundary store keeps, at most: flip has 2, "
        "dihedral 8.",
    )
    batch_size: int = Field(32, ge=2, description="Images of one step of fine-tuning.")
    mixup: float = Field(0.0, ge=0.0, description="Mixing of images in fine-tuning; 0 for none.")
    minutes: float | None = Field(
        None, gt=0, description="Most minutes for fine-tuning; --tune auto plans by it."
    )
    store_gb: float = Field(
        8.0, gt=0, description="Most disk for the boundary store; else training reads images."
    )
    recipe: RecipeOption = Field(
        "headstart",
        description="tutorial trains as the tutorial does, to compare: Flatten, Dense(256), "
        "Dropout(0.5), Dense; 10 epochs of Adam frozen; then the last 10 layers, 5 epochs at 1e-4.",
    )

    deterministic: bool = Field(
        False,
        description="Two runs give the same model, bit for bit: numeric precision and threads are "
        "fixed, and nothing is chosen by timing. CPU only.",
    )
    log: str = Field(
        "",
        description="Where fine-tuning is followed, besides events.jsonl: tensorboard, mlflow, or "
        "both with a comma.",
    )

    def with_minutes(self, part: str) -> Self:
        """Return the options with the minutes that "auto" plans with where none are given."""
        if part != "auto" or self.minutes is not None:
            return self
        return self.model_copy(update={"minutes": _AUTO_MINUTES})

    def require_reproducible(self, part: str) -> None:
        """Refuse what is decided by the clock if the result must be deterministic.

        Args:
            part: That is to be fine-tuned.

        Raises:
            OptionError: It names the option.
        """
        if not self.deterministic:
            return
        if part == "auto":
            raise OptionError(
                "Fine-tuning 'auto' plans by the clock, which cannot be deterministic. "
                "Name the part, such as stages:1."
            )
        if self.minutes is not None:
            raise OptionError(
                "minutes ends fine-tuning by the clock, which cannot be deterministic. "
                "Limit epochs instead."
            )

    @property
    def listeners(self) -> tuple[str, ...]:
        """Names of what receives each step and epoch."""
        return ("events", *(name.strip() for name in self.log.split(",") if name.strip()))

    @property
    def views_kept(self) -> int:
        """How many different views of an image there are."""
        return min(self.views, _DIFFERENT.get(self.augment, self.views))


class TrainOptions(RunOptions, TryOptions, TuneOptions):
    """Options of `train`: what to learn from, with which backbone and head, and how to measure."""

    backbone: str = Field(
        "efficientnet-lite0",
        description="The pretrained network, or auto: try --backbones and take what suits the "
        "images. The default installs with the package and is fast.",
    )
    weights: str = Field(
        "imagenet",
        description="imagenet, random, a safetensors file or folder, or hf-hub:OWNER/NAME.",
    )
    orientations: OrientationsOption = Field(
        "one",
        description="Turns and mirror images of a photo that are read, features averaged: mirror "
        "(2), or dihedral (8) for images without an up, such as cells or tissue. Takes as many "
        "times as long, and tells more.",
    )
    features: FeaturesOption = Field(
        "auto",
        description="Read the last layer or all stages; auto decides on held-out folds. flatten "
        "reads the last map as it is, as the tutorial does.",
    )
    head: HeadOption = Field(
        "auto", description="The new classifier; auto takes linear or kernel on held-out folds."
    )
    balanced: bool = Field(False, description="Weigh classes inversely to their frequency.")
    tune: str = Field(
        "none",
        pattern=f"^(none|{PART})$",
        description="Fine-tune the last layers:N or stages:N, all, or auto: as much as can be "
        "trained and judged in --minutes. Kept only if it helps on held-out images.",
    )
    resume: bool = Field(
        False, description="Go on with a fine-tuning of the same data that was cut off."
    )


class PredictOptions(ComputeOptions):
    """Options of `predict`."""

    top: int = Field(5, ge=1, description="How many labels to list for an image.")


class EvaluateOptions(ComputeOptions):
    """Options of `evaluate`."""

    split: Literal["auto", "all", "train", "val", "test"] = Field(
        "auto", description="Which images: auto takes the data's test part, or all without one."
    )


def cache_folder(cache: str | PathLike[str] | None) -> Path:
    """Return the folder that keeps features, converted networks and unpacked archives."""
    return Path(cache).expanduser() if cache else user_cache_path("headstart")
