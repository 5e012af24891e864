"""What following the recommendation costs: accuracy lost against training with every candidate.

    python -m benchmarks.recommend [solar] [fashion]

Candidates: the three EfficientNet-Lite with ImageNet weights, and two deliberately poor ones with
random weights. Regret: test accuracy of the best candidate minus that of the recommended one. Also
the time of a cold recommendation against one cold extraction by each of the three.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import headstart as hs
from benchmarks.fashion import write_fashion
from benchmarks.machine import describe
from headstart.backbones.backbone import load_backbone
from headstart.choosing.image_size import sized_for
from headstart.commands.demo import write_solar_cells
from headstart.features.extractor import FeatureExtractor

GOOD = [f"efficientnet-lite{number}" for number in range(3)]
POOR = ["efficientnet-lite0=random", "resnet18=random"]


def extraction(images: hs.ImageSet, name: str, cache: Path) -> float:
    """Give the seconds of one cold extraction, its network's conversion included."""
    start = time.perf_counter()
    extractor = FeatureExtractor(sized_for(load_backbone(name), images), cache=cache)
    extractor.of_files(list(zip(images.paths, images.sha256s, strict=True)))
    return time.perf_counter() - start


def main() -> None:
    """Run on the data sets that the arguments name, both by default."""
    print(f"machine: {describe()}\n")
    for name in sys.argv[1:] or ["solar", "fashion"]:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            if name == "solar":
                table = write_solar_cells(root / "data")
            else:
                table = write_fashion(root / "data", train=2500, test=2500)
            start = time.perf_counter()
            three = hs.recommend(
                table, backbones=",".join(GOOD), cache=root / "cold", out=root / "three"
            )
            cold = time.perf_counter() - start
            train = hs.open_images(table, cache=root / "cold").train
            single = sum(extraction(train, one, root / f"one-{one}") for one in GOOD)
            result = hs.recommend(
                table, backbones=",".join(GOOD + POOR), cache=root / "cold", out=root / "five"
            )
            print(f"{name}: {result.recommended}, {result.why}")
            print(
                f"cold, three backbones, {three.images} of {len(train)} training images: "
                f"{cold:.1f} s, {cold / single:.2f} x one extraction by each ({single:.1f} s)\n"
            )
            print("| backbone | weights | on folds | test | images/s | LogME |")
            print("| --- | --- | --- | --- | --- | --- |")
            tested = {}
            for one in result.backbones:
                trained = hs.train(
                    table,
                    backbone=one.name,
                    weights=one.weights,
                    cache=root / "cold",
                    out=root / f"{one.name}-{one.weights}",
                )
                accuracy = json.loads((trained.run / "metrics.json").read_text())["test"][
                    "accuracy"
                ]
                tested[one.name, one.weights] = accuracy
                print(
                    f"| {one.name} | {one.weights} | {one.accuracy:.4f} | {accuracy:.4f} "
                    f"| {one.images_per_second:.0f} | {one.log_me:.4f} |",
                    flush=True,
                )
            taken = tested[result.recommended, result.weights]
            print(f"\nregret: {100 * (max(tested.values()) - taken):.2f} points\n")


if __name__ == "__main__":
    main()
