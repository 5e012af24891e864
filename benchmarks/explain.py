"""Heat maps: do they point at what decides the class, and how long do they take?

    python -m benchmarks.explain [pointing|curves|time ...]

pointing: how often the hottest cell of a map is inside the patch that decides the class, on planted
    images (see `tests.explanations.planting`), for EfficientNet-Lite0 with the weights of ImageNet
    and a small transformer; with shuffled weights of the head and with a random network as controls
    (Adebayo et al., Sanity Checks for Saliency Maps, 2018).
curves: areas under deletion and insertion curves of the predicted class on planted images and on
    solar cells of the test part, beside those of random orders of the cells.
time: one warm explanation beside one warm prediction.

No weights of transformers install with packages, so the transformer first learns from other planted
images, before it is frozen.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.explanations.curves import areas
from tests.explanations.planting import TEXTURES, Planted, hits, plant, write
from torch import nn

import headstart as hs
from benchmarks.machine import describe
from headstart.arrays import Numbers
from headstart.commands.demo import write_solar_cells
from headstart.explanations.heat_maps import Explainer, heat_maps
from headstart.explanations.overlays import overlay
from headstart.features.extractor import FeatureExtractor
from headstart.heads.specs import Head
from headstart.predictor.predictor import Predictor

TRAIN, TEST, CONTROLS = 400, 200, 3
TRANSFORMER, SMALL = "test_vit", 128
POOL, STEPS, BATCH, RATE = 10_000, 4000, 64, 2e-3
CELLS, REPEATS = 60, 20

HEADS = (
    ("linear", "multilevel", hs.LinearHead()),
    ("linear", "last", hs.LinearHead()),
    ("kernel", "multilevel", hs.KernelHead()),
    ("auto", "multilevel", hs.AutoHead()),
)


def main() -> None:
    """Measure what the arguments name, everything by default."""
    torch.set_num_threads(1)
    print(f"machine: {describe()}", flush=True)
    parts = {"pointing": _print_pointing, "curves": _print_curves, "time": _print_time}
    for name in sys.argv[1:] or parts:
        with tempfile.TemporaryDirectory() as folder:
            parts[name](Path(folder))


def _print_pointing(root: Path) -> None:
    """Print the share of maps that point at the patch, of all networks, heads and controls."""
    print(
        f"\npointing game on {TEST} planted images; controls: mean of {CONTROLS} draws on "
        f"{TEST // 4} of them\n\n"
        "| network | size | features | head | accuracy | pointing | shuffled head "
        "| random network |\n" + "| --- " * 8 + "|"
    )
    weights = root / "transformer.safetensors"
    _pretrain(weights)
    _print_rows(root, "efficientnet-lite0", "imagenet", 224)
    _print_rows(root, TRANSFORMER, str(weights), SMALL)


def _print_rows(root: Path, name: str, weights: str, size: int) -> None:
    """Print a row for each head on one network."""
    data = _planted_set(root / name, size)
    planted = plant(TEST, size, seed=1)
    backbone = hs.load_backbone(name, weights=weights, image_size=size)
    for head_name, features, head in HEADS:
        model = _fit(backbone, head, data, root, features=features)
        predictions = model.predict([one.image for one in planted])
        right = [
            prediction.label == TEXTURES[one.target]
            for prediction, one in zip(predictions, planted, strict=True)
        ]
        print(
            f"| {name} | {size} | {features} | {head_name} | {np.mean(right):.3f} "
            f"| {_pointing(model, planted):.3f} | {_controls(model, planted, _shuffled_head)} "
            f"| {_controls(model, planted, _random_network)} |",
            flush=True,
        )


def _planted_set(folder: Path, size: int) -> hs.ImageSet:
    write(folder, plant(TRAIN, size, seed=0))
    return hs.open_images(folder, cache=folder.parent, test=0.1, progress=False).train


def _fit(
    backbone: hs.Backbone, head: Head, images: hs.ImageSet, cache: Path, *, features: str
) -> Predictor:
    options = {"cache": cache, "precision": "float32", "features": features}
    model = hs.Classifier(backbone, head, classes=images.classes, **options)
    return model.fit(images, progress=False).predictor


def _pointing(model: Predictor, planted: Sequence[Planted]) -> float:
    pixels = np.stack([model.extractor.preprocess.pixels(one.image) for one in planted])
    return float(hits(planted, heat_maps(model, pixels, [one.target for one in planted])).mean())


def _controls(
    model: Predictor, planted: Sequence[Planted], control: Callable[[Predictor, int], Predictor]
) -> str:
    """Return the mean over draws of a control."""
    some = planted[: TEST // 4]
    if control is _shuffled_head and not hasattr(model.head, "weight"):
        return ""
    return f"{np.mean([_pointing(control(model, seed), some) for seed in range(CONTROLS)]):.3f}"


def _shuffled_head(model: Predictor, seed: int) -> Predictor:
    """Return the model with the weights of each class in another order."""
    weight = np.random.default_rng(seed).permuted(model.head.weight, axis=0)  # type: ignore[attr-defined]
    return replace(model, head=replace(model.head, weight=weight))  # type: ignore[type-var]


def _random_network(model: Predictor, seed: int) -> Predictor:
    """Return the model with a network of random weights under its head."""
    source, cache = model.extractor.source, model.extractor.cache
    size = source.preprocess.size
    backbone = hs.load_backbone(source.name, weights="random", image_size=size, seed=seed)
    return replace(model, extractor=FeatureExtractor(backbone, cache=cache, precision="float32"))


def _pretrain(path: Path) -> None:
    """Train the transformer on other planted images, and write its weights."""
    torch.manual_seed(0)
    planted = plant(POOL, SMALL, seed=2)
    pixels = torch.from_numpy(np.stack([np.asarray(one.image) for one in planted]))
    pixels, targets = pixels.permute(0, 3, 1, 2), torch.tensor([one.target for one in planted])
    backbone = hs.load_backbone(TRANSFORMER, weights="random", image_size=SMALL).unfreeze("all")
    network = nn.Sequential(backbone, nn.Linear(backbone.width, len(TEXTURES))).train()
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.05, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
    for _ in range(STEPS):
        rows = torch.randint(0, POOL, (BATCH,))
        images = pixels[rows].roll(torch.randint(-16, 17, (2,)).tolist(), (2, 3))
        images = images.flip(3) if torch.rand(()) < 0.5 else images
        loss = nn.functional.cross_entropy(network(images / 127.5 - 1), targets[rows])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    save_file(backbone.network.state_dict(), path)


def _print_curves(root: Path) -> None:
    """Print mean areas with standard errors, and those of the paired differences."""
    print(
        f"\nareas under the curves, {CELLS} images, mean ± standard error\n\n"
        "| images | curve | heat map | random order | difference |\n| --- | --- | --- | --- | --- |"
    )
    data = _planted_set(root / "planted", 224)
    backbone = hs.load_backbone(image_size=224)
    model = _fit(backbone, hs.AutoHead(), data, root, features="multilevel")
    _print_areas("planted", model, [one.image for one in plant(CELLS, 224, seed=1)])
    model, paths = _solar(root)
    chosen = paths[:: len(paths) // CELLS][:CELLS]
    _print_areas("solar cells", model, [Image.open(path).convert("RGB") for path in chosen])


def _print_areas(name: str, model: Predictor, images: Sequence[Image.Image]) -> None:
    """Print the areas of the predicted class, beside those of random orders of the cells."""
    rng, rows = np.random.default_rng(0), []
    for image in images:
        pixels = model.extractor.preprocess.pixels(image)
        (features,) = model.extractor.of_pixels([pixels])
        target = int(model.probabilities(features).argmax())
        (heat,) = heat_maps(model, pixels[np.newaxis], [target])
        shuffled = rng.permutation(heat.ravel()).reshape(heat.shape)
        rows.append([areas(model, pixels, each, target) for each in (heat, shuffled)])
    values = np.array(rows)
    for number, curve in enumerate(("deletion (lower is better)", "insertion (higher is better)")):
        own, other = values[:, 0, number], values[:, 1, number]
        print(f"| {name} | {curve} | {_mean(own)} | {_mean(other)} | {_mean(own - other)} |")


def _mean(values: Numbers) -> str:
    return f"{values.mean():.3f} ± {values.std(ddof=1) / len(values) ** 0.5:.3f}"


def _print_time(root: Path) -> None:
    """Print medians of the time of a warm prediction and a warm explanation."""
    model, paths = _solar(root)
    preprocess = model.extractor.preprocess
    image = Image.open(paths[0]).convert("RGB")

    explainer = Explainer.of(model)

    def explain() -> None:
        heat = explainer.heat_maps(preprocess.pixels(image)[np.newaxis], [0])
        overlay(image, heat[0], preprocess)

    predicting, explaining = (
        _milliseconds(each) for each in (lambda: model.predict(image), explain)
    )
    print(
        f"\none warm image of {preprocess.size} px, EfficientNet-Lite0, median of {REPEATS}, "
        "heat map and overlay, beyond the prediction\n\n| predict | explain |\n| --- | --- |\n"
        f"| {predicting:.0f} ms | {explaining:.0f} ms |",
        flush=True,
    )


def _milliseconds(function: Callable[[], object]) -> float:
    durations = []
    for _ in range(REPEATS + 2):
        begin = time.perf_counter()
        function()
        durations.append(1000 * (time.perf_counter() - begin))
    return median(durations[2:])


def _solar(root: Path) -> tuple[Predictor, list[str]]:
    """Return a model of solar cells with the default head, and the paths of the test part."""
    table = write_solar_cells(root / "images")
    data = hs.open_images(table, cache=root, progress=False)
    backbone = hs.load_backbone("efficientnet-lite0")
    return _fit(backbone, hs.AutoHead(), data.train, root, features="multilevel"), data.test.paths


if __name__ == "__main__":
    main()
