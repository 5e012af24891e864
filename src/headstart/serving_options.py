"""The options of `serve`."""

import re
from typing import Self

from pydantic import Field, model_validator

from headstart.options import (
    ClusterOptions,
    ComputeOptions,
    DecodeLimits,
    DeterministicOptions,
    NetworkOptions,
)
from headstart.strict import LenientPath, Options, Panel

_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]+)?")


class LimitOptions(Options):
    """How much a server takes on."""

    panel = Panel.LIMITS

    max_waiting: int = Field(
        64,
        ge=1,
        description="Images that may wait or be computed at a time; with more, requests are "
        "refused at once (503).",
    )
    max_images: int = Field(100, ge=1, description="Images in one request.")
    max_request_mb: int = Field(64, ge=1, description="Size of one request, in MB.")
    max_pixels: int = Field(
        50_000_000,  # Half of what `predict` takes: several are decoded at a time.
        gt=0,
        le=DecodeLimits.model_fields["max_pixels"].default,  # Heat maps have this limit.
        description="Width times height of an image.",
    )
    timeout: float = Field(
        60, gt=0, description="Seconds until a request is answered, or refused (504)."
    )


class AccessOptions(Options):
    """Who may use a server."""

    panel = Panel.SERVER

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address to listen on; 0.0.0.0 lets other machines connect.",
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 chooses a free one.")
    api_key_file: LenientPath | None = Field(
        None,
        description="File with the key that clients must send (default: the environment variable "
        "HEADSTART_API_KEY, or none).",
    )
    allow_origin: str = Field(
        "",
        description="Origins of other web pages that may use this server, such as "
        "https://photos.example, separated by commas.",
    )

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins of other web pages that may use the server."""
        each = (origin.strip().rstrip("/") for origin in self.allow_origin.split(","))
        return tuple(filter(None, each))

    @model_validator(mode="after")
    def _check_origins(self) -> Self:
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"allow_origin has '{origin}', which is not an origin such as "
                    "https://photos.example. Each page must be named"
                )
        return self


class LogOptions(Options):
    """What a server keeps of its answers."""

    panel = Panel.OUTPUT

    log: LenientPath | None = Field(
        None,
        description="Folder for a log of predictions: time, hash, answer and duration, without "
        "pictures or file names.",
    )
    log_features: bool = Field(
        False, description="Also log the features, so that headstart shift can read the log."
    )

    @model_validator(mode="after")
    def _check_log(self) -> Self:
        if self.log_features and self.log is None:
            raise ValueError("log_features has no effect without log. Add log with a folder")
        return self


class LabelStudioOptions(Options):
    """Whether Label Studio asks a server."""

    panel = Panel.SERVER

    label_studio: bool = Field(
        False,
        description="Be a machine-learning backend of Label Studio. MODEL is a model, or a folder "
        "(made if needed) for annotations and the model that is trained on them.",
    )
    label_studio_files: LenientPath | None = Field(
        None,
        description="Folder of Label Studio's local files or uploads, from which images are read.",
    )

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        if self.label_studio_files is not None and not self.label_studio:
            raise ValueError("label_studio_files has no effect without label_studio")
        return self


class GalleryServingOptions(Options):
    """How a server shows galleries."""

    panel = Panel.SERVER

    pictures: LenientPath | None = Field(
        None,
        description="Folder of the images that a gallery was made of, so that what is found has "
        "pictures; a gallery keeps only their names.",
    )


class ServeOptions(
    GalleryServingOptions,
    LabelStudioOptions,
    LogOptions,
    LimitOptions,
    ClusterOptions,
    ComputeOptions,
    AccessOptions,
):
    """Options of `serve`."""

    panel = Panel.SERVER

    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Worker processes. One uses all cores; more need as many times the memory. "
        "With --cluster, the largest number of replicas.",
    )

    @model_validator(mode="after")
    def _check_workers(self) -> Self:
        if self.label_studio and self.workers > 1:
            raise ValueError("label_studio trains in the server, so workers must be 1")
        if self.label_studio and self.cluster:
            raise ValueError("label_studio trains in the server, so it cannot run on a cluster")
        if self.cluster and not self.port:
            raise ValueError("On a cluster, the port must be a number, not 0")
        return self


class StudioOptions(DeterministicOptions, NetworkOptions, ComputeOptions):
    """How the studio is run."""

    panel = Panel.SERVER

    backbone: str = Field(
        NetworkOptions.model_fields["backbone"].default,
        description="Pretrained network, such as resnet50 or hf-hub:OWNER/NAME.",
    )
    port: int = Field(0, ge=0, le=65535, description="Port to listen on; 0 chooses a free one.")
    no_browser: bool = Field(False, description="Do not open the page in the browser.")
