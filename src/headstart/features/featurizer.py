"""A scikit-learn transformer from images to features."""

import hashlib
import os
from pathlib import Path
from typing import Literal, Self

import numpy as np
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from headstart.arrays import Features, Names
from headstart.backbones.backbone import load_backbone
from headstart.cache import cache_folder, store_url
from headstart.data.inputs import ImagesLike, as_image, each_image, read_path
from headstart.features.extractor import FeatureExtractor
from headstart.features.rounding import as_stored
from headstart.options import DeviceOption, PrecisionOption


class Featurizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Extract features of images with a frozen, pretrained network, for use in a `Pipeline`.

    Features of files are cached in the store, so that a grid search runs the network once per
    image. Features of images in memory are computed each time.

    Args:
        backbone: A name from the catalogue or any architecture of timm.
        features: "last", the pooled output, or "multilevel", pooled from every stage.
        weights: See `load_backbone`.
        image_size: Side of the square input of the backbone, in pixels.
        device: "auto", "cpu" or "cuda".
        precision: "auto", "bf16" or "float32".
        cache: Folder for features and converted networks.
    """

    def __init__(
        self,
        backbone: str = "efficientnet-lite0",
        *,
        features: Literal["last", "multilevel"] = "last",
        weights: str = "imagenet",
        image_size: int | None = None,
        device: DeviceOption = "auto",
        precision: PrecisionOption = "auto",
        cache: str | Path | None = None,
    ) -> None:
        self.backbone = backbone
        self.features = features
        self.weights = weights
        self.image_size = image_size
        self.device = device
        self.precision = precision
        self.cache = cache

    def fit(self, X: object = None, y: object = None) -> Self:
        """Load the backbone; nothing is learnt from the data."""
        self.extractor_ = FeatureExtractor(
            load_backbone(self.backbone, weights=self.weights, image_size=self.image_size),
            cache=cache_folder(self.cache),
            store=store_url(self.cache),
            device=self.device,
            precision=self.precision,
        )
        return self

    def transform(self, X: ImagesLike) -> Features:
        """Return features of shape (images, width), float32.

        Args:
            X: Images of any kind that `Predictor.predict` takes.

        Raises:
            UnreadableImage: An image cannot be decoded.
        """
        check_is_fitted(self)
        images = list(each_image(X))
        paths = [os.fsdecode(image) for image in images if isinstance(image, (str, os.PathLike))]
        if paths and len(paths) == len(images):
            features, _ = self.extractor_.of_files([_file(path) for path in paths])
        else:
            preprocess = self.extractor_.backbone.preprocess
            side, contract = preprocess.min_side, preprocess.contract
            decoded = [as_image(image, min_side=side, contract=contract) for image in images]
            features = self._of_images(decoded)
        return features[:, self.extractor_.layout.columns(self.features)]

    def _of_images(self, images: list[Image.Image]) -> Features:
        parts = list(self.extractor_.of_images(images))
        empty = np.zeros((0, self.extractor_.layout.width), dtype=np.float32)
        return as_stored(np.concatenate([empty, *parts]), self.extractor_.stored_as)

    def get_feature_names_out(self, input_features: object = None) -> Names:
        """Return the name of each column: "output.0", "stage2.max.7" and so on."""
        check_is_fitted(self)
        layout = self.extractor_.layout
        names = [f"{block}.{number}" for block, width in layout.blocks for number in range(width)]
        return np.array(names[layout.columns(self.features)], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "extractor_")


def _file(path: str) -> tuple[str, str]:
    return path, hashlib.sha256(read_path(path)).hexdigest()
