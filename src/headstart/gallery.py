"""Galleries in Python, with the verbs of the command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from headstart.data.inputs import is_image
from headstart.gallery_options import (
    AddOptions,
    CreateOptions,
    EvaluateGalleryOptions,
    RemoveOptions,
    SearchOptions,
)
from headstart.options import CropOption, DeviceOption, PrecisionOption
from headstart.watching import ProgressOption, watcher_for

if TYPE_CHECKING:
    from headstart.commands.galleries import AnySearchResult, GalleryChange
    from headstart.data.inputs import ImagesLike
    from headstart.record.gallery_evaluation import GalleryEvaluation


class Gallery:
    """Enrolled images of products or people, in a folder, that are searched by what they show.

    Args:
        folder: The folder of a gallery.
        cache: Folder for features and converted networks.
        device: "auto", "cpu" or "cuda".
        precision: "auto" is the precision with which it was made, if the processor supports it.

    Raises:
        GalleryError: It is missing, damaged, or of a later version.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        cache: str | os.PathLike[str] | None = None,
        device: DeviceOption = "auto",
        precision: PrecisionOption = "auto",
    ) -> None:
        from headstart.commands.embedding import open_gallery

        self._options: dict[str, str] = {"device": device, "precision": precision}
        self._options |= {} if cache is None else {"cache": os.fspath(cache)}
        self._store = open_gallery(folder, SearchOptions.of(**self._options))

    def __repr__(self) -> str:
        return repr(self._store)

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._store.folder

    @classmethod
    def create(
        cls,
        data: str | os.PathLike[str],
        *,
        out: str | os.PathLike[str] | None = None,
        model: str | os.PathLike[str] = "efficientnet-lite0",
        weights: str = "imagenet",
        crop: CropOption = "none",
        group: str | None = None,
        false_accepts: float = 0.05,
        cache: str | os.PathLike[str] | None = None,
        device: DeviceOption = "auto",
        precision: PrecisionOption = "auto",
        cluster: str | None = None,
        progress: ProgressOption = None,
    ) -> Self:
        """Make a gallery of labelled images.

        Args:
            data: A folder with a folder for each item, or a table with `label` and any other
                columns, which are returned with what is found.
            out: The folder of the gallery; galleries/ with the name of the data by default.
            model: A run, its bundle, the name of a backbone, or "dlib-face" for faces.
            weights: Weights of a backbone that is named.
            crop: "face" to see only the largest face of an image, aligned.
            group: The column of the groups.
            false_accepts: The share of strangers that may be taken for an enrolled item.
            cache: See the class.
            device: See the class.
            precision: See the class.
            cluster: As for `train`.
            progress: As for `train`.

        Raises:
            OptionError: The folder exists, or an option is invalid.
            DataError: The data cannot be used.
        """
        from headstart.commands.galleries import create_gallery

        values = {"out": out, "group": group, "cache": cache, "cluster": cluster}
        options = CreateOptions.of(
            **{name: value for name, value in values.items() if value is not None},
            model=os.fspath(model),
            weights=weights,
            crop=crop,
            false_accepts=false_accepts,
            device=device,
            precision=precision,
        )
        made = create_gallery(data, options, watcher_for(progress))
        return cls(made.gallery.folder, cache=cache, device=device, precision=precision)

    def add(
        self,
        data: str | os.PathLike[str],
        *,
        group: str | None = None,
        progress: ProgressOption = None,
    ) -> GalleryChange:
        """Enrol further labelled images, of new labels or of old ones, in one step.

        Images that are enrolled already are not added again.

        Args:
            data: See `create`.
            group: The column of the groups.
            progress: As for `train`.

        Raises:
            DataError: The data cannot be used, or an image is enrolled under another label.
        """
        from headstart.commands.galleries import add_images

        options = AddOptions.of(**self._options, **({"group": group} if group else {}))
        return add_images(self.folder, data, options, watcher_for(progress))

    def remove(
        self, *, labels: Sequence[str] = (), images: Sequence[str] = (), forget: bool = False
    ) -> GalleryChange:
        """Remove images, with every trace of their embeddings in the gallery.

        Args:
            labels: All images of these labels are removed.
            images: Images of these names are removed.
            forget: Remove their features from the feature store in the cache too.

        Raises:
            DataError: The gallery does not have one of the labels or images.
        """
        from headstart.commands.galleries import remove_images

        options = RemoveOptions.of(**self._options, forget=forget)
        return remove_images(self.folder, options, labels=labels, images=images)

    def search(
        self, images: ImagesLike, *, hits: int = 5, coarse: bool = False
    ) -> AnySearchResult | list[AnySearchResult]:
        """Find out which enrolled item an image shows, or each image of several.

        Args:
            images: See `Predictor.predict`.
            hits: The number of nearest enrolled images of an answer.
            coarse: Where a label such as "Apple/Golden Delicious" is not sure, answer "Apple".

        Returns:
            An answer for one image, or a list. A file that cannot be read has a `FailedPrediction`.

        Raises:
            GalleryError: The gallery is empty.
        """
        from headstart.commands.galleries import answers_of

        found = list(answers_of(self._store, images, hits, coarse=coarse))
        return found[0] if is_image(images) else found

    def evaluate(
        self,
        data: str | os.PathLike[str] | None = None,
        *,
        group: str | None = None,
        out: str | os.PathLike[str] | None = None,
        pictures: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        progress: ProgressOption = None,
    ) -> GalleryEvaluation:
        """Measure how well images are found, and how well strangers are told from enrolled items.

        Args:
            data: Labelled images to look up, as for `create`; images of labels that are not
                enrolled are strangers. Default: each enrolled image is looked up among the others.
            group: The column of the groups of `data`: an image is left out if one of its group is
                enrolled, and intervals are over groups.
            out: A folder for a report with the worst misses, and the figures as JSON.
            pictures: A folder with the enrolled images, which a gallery does not keep, to show them
                in the report.
            overwrite: Replace an earlier evaluation in `out`.
            progress: As for `train`.

        Raises:
            GalleryError: The gallery is empty, has one label, or no two images of a label.
            DataError: The data cannot be used, or none of it is both new and of an enrolled label.
            OutputError: `out` exists and may not be replaced, or is in the gallery.
        """
        from headstart.commands.gallery_evaluation import run_gallery_evaluation

        values = {"group": group, "out": out, "pictures": pictures}
        options = EvaluateGalleryOptions.of(
            **self._options,
            **{name: value for name, value in values.items() if value is not None},
            overwrite=overwrite,
        )
        return run_gallery_evaluation(self.folder, data, options, watcher_for(progress))

    def labels(self) -> dict[str, int]:
        """Return the number of images of each label, sorted by label."""
        return self._store.labels()
