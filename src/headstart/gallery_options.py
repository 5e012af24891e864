"""The options of `gallery`, with their defaults."""

from pydantic import Field

from headstart.options import ClusterOptions, ComputeOptions, CropOption, LenientPath, Panel


class EnrolOptions(ComputeOptions):
    """How labelled images are read that are enrolled."""

    panel = Panel.DATA

    group: str | None = Field(
        None,
        description="Column of the groups, such as the photo session: when distances are learnt, "
        "an image is not compared with its own group.",
    )


class EmbedderOptions(ComputeOptions):
    """What computes the features that are compared."""

    panel = Panel.BACKBONE

    weights: str = Field(
        "imagenet", description="Weights of a backbone that is named; as for train."
    )
    crop: CropOption = Field(
        "none",
        description="face: only the largest face of an image is seen, aligned by five points; "
        "needs the extra faces.",
    )


class CreateOptions(ClusterOptions, EnrolOptions, EmbedderOptions):
    """Options of `gallery create`."""

    panel = Panel.OUTPUT

    out: LenientPath | None = Field(
        None, description="Folder of the gallery; galleries/ with the name of the data by default."
    )
    model: str = Field(
        "efficientnet-lite0",
        description="A run, its bundle, a backbone, hf-hub:OWNER/NAME, or dlib-face for faces.",
    )
    false_accepts: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="The share of strangers that may be taken for an enrolled item.",
    )


class VerifyOptions(EmbedderOptions):
    """Options of `gallery verify`."""

    panel = Panel.OUTPUT

    slices: str | None = Field(
        None,
        description="Columns of the table, such as a group of people, separated by commas: error "
        "rates are given for each of their values.",
    )


class AddOptions(EnrolOptions):
    """Options of `gallery add`."""


class RemoveOptions(ComputeOptions):
    """Options of `gallery remove`."""

    panel = Panel.OUTPUT

    images: bool = Field(False, description="The names are those of images, not labels.")
    forget: bool = Field(
        False, description="Remove their features from the feature store in the cache too."
    )


class LookUpOptions(ComputeOptions):
    """How labelled images are read that are looked up."""

    panel = Panel.DATA

    group: str | None = Field(
        None,
        description="Column of DATA with the groups, such as the photo session: an image is left "
        "out if one of its group is enrolled, and intervals are over groups.",
    )


class EvaluateGalleryOptions(LookUpOptions):
    """Options of `gallery evaluate`."""

    panel = Panel.OUTPUT

    out: LenientPath | None = Field(
        None, description="Folder for a report with the worst misses and the figures as JSON."
    )
    pictures: LenientPath | None = Field(
        None,
        description="Folder with the enrolled images, which a gallery does not keep, to show them "
        "in the report; they are found by their content.",
    )
    overwrite: bool = Field(False, description="Replace an earlier evaluation in --out.")


class SearchOptions(ComputeOptions):
    """Options of `gallery search`."""

    panel = Panel.OUTPUT

    hits: int = Field(5, ge=1, le=1000, description="Number of nearest enrolled images to show.")
    coarse: bool = Field(
        False,
        description="Where a label such as 'Apple/Golden Delicious' is not sure, answer 'Apple'.",
    )
