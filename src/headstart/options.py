"""Every option, once: its meaning, its default and the reason for the default.

The command line's help and Python's keywords both come from these classes.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from headstart.errors import OptionError
from headstart.measuring_options import LeakageOptions as LeakageOptions
from headstart.measuring_options import PrevalenceOptions as PrevalenceOptions
from headstart.measuring_options import SliceOptions as SliceOptions
from headstart.measuring_options import SplitOption as SplitOption
from headstart.measuring_options import SplitOptions as SplitOptions
from headstart.measuring_options import StudyOptions as StudyOptions
from headstart.strict import LenientPath as LenientPath
from headstart.strict import LenientPlace as LenientPlace
from headstart.strict import Options as Options
from headstart.strict import Panel as Panel

FeaturesOption = Literal["auto", "last", "multilevel", "flatten"]
HeadOption = Literal["auto", "linear", "kernel", "mlp", "nearest"]
DeviceOption = Literal["auto", "cpu", "cuda"]
PrecisionOption = Literal["auto", "bf16", "float32"]
AugmentOption = Literal["none", "flip", "standard", "dihedral", "strong"]
OrientationsOption = Literal["one", "mirror", "dihedral"]
ScalesOption = Literal["one", "two"]
FitOption = Literal["auto", "squash", "pad", "crop"]
RecipeOption = Literal["headstart", "tutorial"]
PredictionFormat = Literal["headstart", "coco"]
BoxFormat = Literal["coco", "yolo", "csv"]
TaskOption = Literal["auto", "single", "multi", "boxes"]
CropOption = Literal["none", "face"]
ObjectiveOption = Literal["classes", "metric"]
FramesOption = Literal["each", "middle"]
SetMethod = Literal["lac", "aps"]
ExportFormat = Literal["onnx", "openvino", "torch"]
UncertainOption = Literal["unknown", "present", "absent"]

PART = "auto|all|stages:[1-9][0-9]*|layers:[1-9][0-9]*"

_DIFFERENT = {"none": 1, "flip": 2, "dihedral": 8}  # Views, where their number is limited.
_AUTO_MINUTES = 10.0  # The time limit of --tune auto without --minutes.


class DecodeLimits(Options):
    """Limits on the size of a single image file."""

    max_bytes: int = Field(256 * 2**20, gt=0, description="Maximum file size, in bytes.")
    max_pixels: int = Field(
        100_000_000,
        gt=0,
        description="Maximum width times height; guards against decompression bombs.",
    )


class CacheOptions(Options):
    """Where computed features, converted networks and unpacked archives are kept."""

    panel = Panel.MACHINE

    cache: LenientPlace | None = Field(
        None,
        description="Folder for cached features, or its URL in an object store (default: "
        "HEADSTART_CACHE, or the user's cache folder).",
    )


class ClearOptions(CacheOptions):
    """What is deleted from the cache."""

    panel = Panel.OUTPUT

    tuning: bool = Field(False, description="Delete only fine-tuning data, checkpoints included.")


class SplitShareOptions(Options):
    """How images are split, and what is learnt of them."""

    panel = Panel.DATA

    test: float = Field(
        0.2, ge=0.0, lt=1.0, description="Share of the images to hold out for the final test."
    )
    group: str | None = Field(
        None,
        description="Keep related images together in the split, by a column of the table or a "
        "regular expression on the path, such as '(patient[0-9]+)'.",
    )
    seed: int = Field(
        0, ge=0, description="Seed of the split, the folds and all other random choices."
    )
    task: TaskOption = Field(
        "auto",
        description="One label per image, or any number (multi); auto is multi for a column "
        "'labels', lists and --labels.",
    )


class LabelOptions(Options):
    """Where the labels are in a table of images with several labels each."""

    panel = Panel.DATA

    labels: str | None = Field(
        None,
        description="Columns with one label each, such as 'edema,mass' or 'finding_*': 1 present, "
        "0 absent, blank unknown, -1 uncertain.",
    )
    label_separator: str = Field(
        "|", min_length=1, description="What separates labels in a cell of the column 'labels'."
    )
    uncertain: UncertainOption = Field(
        "unknown", description="What -1 means in the columns of --labels."
    )


class MedicalOptions(Options):
    """How medical images are read."""

    panel = Panel.DATA

    window: str = Field(
        "first",
        pattern=r"^(first|percentile|-?\d+(\.\d+)?,(\d*[1-9]\d*(\.\d+)?|\d+\.\d*[1-9]\d*))$",
        description="Grey values that are shown of DICOM and NIfTI files: CENTER,WIDTH, the "
        "percentile range of each, or the first window of the file.",
    )
    frames: FramesOption = Field(
        "each",
        description="Each frame of a DICOM file and slice of a NIfTI volume is an image, or only "
        "the middle one.",
    )


class PatientOptions(Options):
    """How patients are named in what is written."""

    panel = Panel.DATA

    patient_key: LenientPath | None = Field(
        None,
        description="File with the secret key that replaces patient IDs by hashes (default: one "
        "in the user's configuration folder).",
    )


class OpenOptions(MedicalOptions, LabelOptions, SplitShareOptions, CacheOptions):
    """How images are opened and split."""

    panel = Panel.DATA


class DeviceOptions(Options):
    """Where the backbone runs, and in which numeric precision."""

    panel = Panel.MACHINE

    device: DeviceOption = Field(
        "auto", description="Where the backbone runs; auto uses a GPU if there is one."
    )
    precision: PrecisionOption = Field(
        "auto",
        description="Numeric precision of the backbone; auto is that of the trained model, or else "
        "bf16 if it is at least 5% faster.",
    )


class ComputeOptions(CacheOptions, DeviceOptions):
    """How the backbone is run."""


class ClusterOptions(Options):
    """Where the work is done, if not in this process alone."""

    panel = Panel.MACHINE

    cluster: str | None = Field(
        None,
        description="Share the work among the nodes of a Ray cluster: HOST:PORT of its head, auto "
        "for the one of this machine, or local for processes of this machine.",
    )


class RunOptions(Options):
    """Where a run is written."""

    panel = Panel.OUTPUT

    out: LenientPath | None = Field(
        None, description="Folder to write (default: a new one in runs, named after the data)."
    )
    overwrite: bool = Field(False, description="Replace an earlier run in --out.")


class TryOptions(OpenOptions, ClusterOptions, ComputeOptions):
    """How backbones are compared on images."""

    panel = Panel.BACKBONE

    image_size: int | None = Field(
        None,
        ge=32,
        le=2048,
        description="Side of the square that the network sees, in pixels (default: as pretrained, "
        "or up to 1.5 times that for larger photos).",
    )
    backbones: str | None = Field(
        None,
        description="Backbones to compare: NAME or NAME=WEIGHTS, separated by commas (default: "
        "all whose weights are on this machine).",
    )
    sample: int = Field(
        2000, ge=20, description="Maximum number of training images to compare backbones on."
    )
    search: int | None = Field(
        None,
        ge=2,
        description="With --cluster, try N combinations of backbone and image size at once, first "
        "on few images; those that do badly are stopped early.",
    )
    budget_ms: float | None = Field(
        None, gt=0, description="Maximum time per image on this machine, in milliseconds."
    )


class RecommendOptions(RunOptions, TryOptions):
    """Options of `recommend`: what to compare backbones on, and which ones."""


class BackbonesOptions(ComputeOptions):
    """Options of `backbones`."""

    panel = Panel.BACKBONE

    measure: bool = Field(
        False,
        description="Run each backbone on this machine: images per second, and how close its "
        "features are to those of PyTorch.",
    )


class DeterministicOptions(Options):
    """Whether choices may depend on timing."""

    panel = Panel.MACHINE

    deterministic: bool = Field(
        False,
        description="Give the same model in every run, bit for bit, on one machine: nothing is "
        "chosen by timing. CPU only.",
    )


class TuneOptions(DeterministicOptions):
    """How the last layers are fine-tuned."""

    panel = Panel.TUNING

    minutes: float | None = Field(
        None,
        gt=0,
        description="Time limit, in minutes (default: 10 with --tune auto, otherwise none).",
    )
    epochs: int = Field(10, ge=1, description="Maximum number of epochs.")
    learning_rate: float | None = Field(
        None,
        gt=0,
        description="Peak learning rate; lower layers get less (default: 2e-4, or up to 2e-3 with "
        "EfficientNet-Lite and many images).",
    )
    augment: AugmentOption = Field(
        "flip", description="Augmentation of training images; dihedral adds 90-degree rotations."
    )
    views: int = Field(
        4,
        ge=1,
        le=64,
        description="Maximum number of augmented views of an image; flip has 2, dihedral 8.",
    )
    batch_size: int = Field(32, ge=2, description="Images per training step.")
    mixup: float = Field(
        0.0, ge=0.0, description="Alpha of mixup's beta distribution; 0 turns mixup off."
    )
    store_gb: float = Field(
        8.0,
        gt=0,
        description="Disk space for stored outputs of the frozen layers, in GB; if it is too "
        "little, each epoch reads the images again.",
    )
    recipe: RecipeOption = Field(
        "headstart",
        description="tutorial is for comparison: Flatten, Dense(256), Dropout and Dense, then the "
        "last 10 layers for 5 epochs.",
    )
    log: str = Field(
        "", description="Also log to tensorboard, mlflow, or both, separated by a comma."
    )

    def with_minutes(self, part: str) -> Self:
        """Return the options with the default time limit if "auto" has none."""
        if part != "auto" or self.minutes is not None:
            return self
        return self.model_copy(update={"minutes": _AUTO_MINUTES})

    def check_deterministic(self, part: str) -> None:
        """Reject fine-tuning of a part that depends on timing if it must be deterministic.

        Raises:
            OptionError: An option depends on timing.
        """
        if not self.deterministic:
            return
        if part == "auto":
            raise OptionError(
                "Fine-tuning 'auto' depends on timing, so it cannot be deterministic. "
                "Name the part, such as stages:1."
            )
        if self.minutes is not None:
            raise OptionError(
                "minutes is a time limit, so fine-tuning cannot be deterministic. "
                "Limit epochs instead."
            )

    @property
    def listeners(self) -> tuple[str, ...]:
        """Names of the listeners that receive each step and epoch."""
        return ("events", *(name.strip() for name in self.log.split(",") if name.strip()))

    @property
    def views_kept(self) -> int:
        """Number of different views of an image."""
        return min(self.views, _DIFFERENT.get(self.augment, self.views))


class ExampleOptions(Options):
    """What a model shows of its training images."""

    panel = Panel.OUTPUT

    keep_examples: int = Field(
        0,
        ge=0,
        description="Keep small pictures of this many training images in the model, to show "
        "similar ones where the images are not at hand.",
    )


class PartOptions(Options):
    """Which part of the backbone is fine-tuned."""

    panel = Panel.TUNING

    tune: str = Field(
        "none",
        pattern=f"^(none|{PART})$",
        description="What to fine-tune: stages:N or layers:N (the last N), all, or auto (two "
        "stages, or what --minutes allows). Kept only if it helps on held-out images.",
    )
    objective: ObjectiveOption = Field(
        "classes",
        description="metric: for galleries, bring images of a label together; judged on labels "
        "that were not learnt from.",
    )
    resume: bool = Field(False, description="Resume an interrupted fine-tuning of the same data.")
    no_hint: bool = Field(
        False, description="Do not say at the end whether fine-tuning would probably help."
    )


class HeadOptions(Options):
    """The new classifier, and the features that it reads."""

    panel = Panel.HEAD

    head: HeadOption = Field(
        "auto", description="New classifier; auto averages linear and kernel by cross-validation."
    )
    features: FeaturesOption = Field(
        "auto",
        description="The last layer, all stages (multilevel), by folds (auto), or the last layer "
        "unpooled.",
    )
    balanced: bool = Field(False, description="Weight classes inversely to their frequency.")
    head_memory: float | None = Field(
        None,
        gt=0,
        description="Memory for training the head, in GB (default: half of the machine's). If the "
        "features need more, a linear head is streamed from the feature store.",
    )
    operating_point: str | None = Field(
        None,
        description="What thresholds are chosen for: sensitivity=0.95, specificity=0.9, ppv=0.8, "
        "cost=fn:10,fp:1 or f1 (default with several labels).",
    )


class NetworkOptions(Options):
    """Which pretrained network is used."""

    panel = Panel.BACKBONE

    backbone: str = Field(
        "efficientnet-lite0",  # Installs with the package and is fast.
        description="Pretrained network, such as resnet50 or hf-hub:OWNER/NAME, or auto to choose "
        "among --backbones by your images.",
    )
    weights: str = Field(
        "imagenet",
        description="imagenet, random, a .safetensors or .pth file, or hf-hub:OWNER/NAME.",
    )


class BackboneOptions(NetworkOptions):
    """The pretrained network, and how it reads images."""

    panel = Panel.BACKBONE

    orientations: OrientationsOption = Field(
        "one",
        description="Average features over 2 (mirror) or 8 (dihedral) orientations of each image. "
        "Takes 2 or 8 times as long.",
    )
    scales: ScalesOption = Field(
        "one",
        description="Also read each image at about 3/4 of its size (two). Takes 1.5 times as long.",
    )
    fit: FitOption = Field(
        "squash",
        description="How images become square: stretched, padded or cropped; auto compares these "
        "on folds.",
    )


# A panel shows the fields of the last base first.
class TileOptions(Options):
    """How a detector of boxes reads large images."""

    panel = Panel.BOXES

    tiles: int | None = Field(
        None,
        ge=64,
        description="For small objects: also cut larger images into overlapping tiles of this "
        "side, in pixels.",
    )


class TrainOptions(
    ExampleOptions,
    RunOptions,
    TuneOptions,
    PartOptions,
    StudyOptions,
    LeakageOptions,
    PatientOptions,
    SliceOptions,
    PrevalenceOptions,
    HeadOptions,
    TileOptions,
    TryOptions,
    BackboneOptions,
):
    """Options of `train`: what to learn from, with which backbone and head, and how to measure."""


class AnswerOptions(Options):
    """What a model says about an image."""

    panel = Panel.OUTPUT

    top: int = Field(5, ge=1, description="Classifiers: number of labels to list per image.")
    coverage: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Classifiers: also give the set of labels that contains the true one this "
        "often, such as 0.9 (conformal prediction).",
    )
    set_method: SetMethod = Field(
        "lac",
        description="Classifiers, with --coverage: lac gives the smallest sets; aps larger ones to "
        "difficult images.",
    )
    max_error: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Classifiers: abstain where the model is not confident enough for this share "
        "of errors, such as 0.01.",
    )


class PredictOptions(AnswerOptions, TileOptions, ClusterOptions, ComputeOptions):
    """Options of `predict`."""

    panel = Panel.OUTPUT

    max_pixels: int = Field(
        DecodeLimits.model_fields["max_pixels"].default,
        gt=0,
        description="Largest width times height of an image that is read.",
    )

    out: LenientPlace | None = Field(
        None,
        description="Write the predictions to a file that ends in .csv, .parquet or .json, or to "
        "its URL in an object store. If interrupted, the same command continues.",
    )
    format: PredictionFormat = Field(
        "headstart",
        description="Format of the predictions in --out; coco is for boxes, and writes COCO's "
        "results as .json.",
    )
    explain: LenientPath | None = Field(
        None, description="Classifiers: write a heat map of each prediction to this folder."
    )
    pictures: LenientPath | None = Field(
        None,
        description="Detectors: write each image with its boxes, labels and probabilities drawn "
        "to this folder.",
    )
    overwrite: bool = Field(
        False, description="Replace earlier files in --out, --explain and --pictures."
    )


class ConvertOptions(CacheOptions):
    """Options of `convert`."""

    panel = Panel.OUTPUT

    format: BoxFormat = Field(
        "coco",
        description="Format of the boxes: COCO's JSON, YOLO's label files, or a CSV file with a "
        "row for each box.",
    )
    out: LenientPath = Field(Path("converted"), description="Folder to create.")


class ExplainOptions(ComputeOptions):
    """Options of `explain`."""

    panel = Panel.OUTPUT

    label: str | None = Field(
        None, description="Class to explain (default: the predicted one of each image)."
    )
    out: LenientPath = Field(Path("explanations"), description="Folder for the heat maps.")
    nearest: int = Field(3, ge=0, description="Number of similar training images to name.")
    overwrite: bool = Field(False, description="Replace earlier heat maps in --out.")


class ExportOptions(CacheOptions):
    """Options of `export`."""

    panel = Panel.OUTPUT

    format: ExportFormat = Field("onnx", description="Kind of file to write.")
    out: LenientPath = Field(Path("export"), description="Folder to write.")
    images: LenientPath | None = Field(
        None,
        description="Image or folder of images to check the export with "
        "(default: those of the run).",
    )
    half: bool = Field(
        False, description="Classifiers: store the weights of the network in half precision."
    )
    int8: bool = Field(
        False,
        description="Classifiers: compute the network in 8-bit integers, if test images allow it.",
    )
    max_drop: float = Field(
        0.5,
        ge=0,
        le=100,
        description="Accuracy (with several labels, also AUROC) that --int8 may cost, in points, "
        "and share of labels that --half may change, in percent.",
    )
    only_features: bool = Field(
        False, description="Classifiers: export the backbone with pooling, without the head."
    )
    overwrite: bool = Field(False, description="Replace an earlier export in --out.")

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        if self.half and self.int8:
            raise ValueError("half and int8 exclude each other. Choose one")
        if self.only_features and self.int8:
            raise ValueError("int8 is checked by its accuracy, which only_features does not have")
        if self.int8 and self.format == "torch":
            raise ValueError("int8 needs format onnx or openvino")
        if "max_drop" in self.model_fields_set and not (self.half or self.int8):
            raise ValueError("max_drop has an effect only with half or int8")
        return self


class ShiftOptions(ComputeOptions):
    """Options of `shift`."""

    panel = Panel.OUTPUT

    label_first: int = Field(
        20, ge=1, description="Number of images to propose for labelling, the most useful first."
    )


class EvaluateOptions(SliceOptions, PrevalenceOptions, SplitOptions, LabelOptions, ComputeOptions):
    """Options of `evaluate`."""

    panel = Panel.OUTPUT

    out: LenientPath | None = Field(
        None, description="Folder for a report, the figures as JSON and a table of predictions."
    )
    overwrite: bool = Field(False, description="Replace an earlier evaluation in --out.")


class CompareOptions(SliceOptions, SplitOptions, LabelOptions, ComputeOptions):
    """Options of `compare`."""

    panel = Panel.OUTPUT

    report: LenientPath | None = Field(
        None, description="Write a page with pictures of what only one model gets right."
    )
    overwrite: bool = Field(False, description="Replace an existing --report.")


class PushOptions(Options):
    """Options of `push`."""

    panel = Panel.OUTPUT

    private: bool = Field(False, description="Only you can see the model; a public one is refused.")
    overwrite: bool = Field(
        False, description="Also push to a repository with other content; its other files are kept."
    )
    message: str = Field(
        "Push a headstart model", min_length=1, description="Message of the commit."
    )


class PlanOptions(Options):
    """What is written with the findings of a check, and a plan that is carried out."""

    panel = Panel.OUTPUT

    report: LenientPath | None = Field(
        None, description="Write a page with pictures of what was found, such as check.html."
    )
    plan: LenientPath | None = Field(
        None,
        description="Classifiers: write a plan of changes as CSV (drop, move, relabel), to be "
        "edited.",
    )
    apply: LenientPath | None = Field(
        None, description="Classifiers: carry out an edited plan on a copy of the data in --out."
    )
    out: LenientPath | None = Field(None, description="New folder for the copy of --apply.")
    overwrite: bool = Field(False, description="Replace an existing --report or --plan.")


class LabelErrorOptions(Options):
    """How label errors are looked for."""

    panel = Panel.BACKBONE

    no_label_errors: bool = Field(
        False,
        description="Classifiers: do not look for label errors, which needs features of all "
        "images.",
    )
    backbone: str = Field("efficientnet-lite0", description="Pretrained network of these features.")
    weights: str = Field(
        "imagenet",
        description="imagenet, random, a .safetensors or .pth file, or hf-hub:OWNER/NAME.",
    )


class CheckOptions(PlanOptions, LabelErrorOptions, OpenOptions, ComputeOptions):
    """Options of `check`."""
