"""Galleries: what they find, strangers, size, metric tuning, and faces.

    python -m benchmarks.galleries embedding FACES     the chosen embedding beside the plain one
    python -m benchmarks.galleries strangers           five classes enrolled, five never seen
    python -m benchmarks.galleries metric [SPLITS]     five classes learnt from, five never seen
    python -m benchmarks.galleries scale [IMAGES]      adding to and searching in large galleries
    python -m benchmarks.galleries faces FACES         verification of faces, people disjoint
    python -m benchmarks.galleries verify FACES        the time of 6,000 pairs

FACES is a folder with a folder of photos for each person, such as AT&T's (ORL's) 40 people.
"""

import csv
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

import headstart as hs
from benchmarks.fashion import CLASSES, read_fashion
from benchmarks.machine import describe
from headstart.evaluation.intervals import paired_difference, wilson
from headstart.galleries.retrieval import retrieve
from headstart.galleries.store import GalleryStore
from headstart.galleries.table import Enrolled, GalleryTable

BACKBONE = "efficientnet-lite0"
SPLITS = ((0, 2, 4, 6, 8), (1, 3, 5, 7, 9), (0, 1, 2, 3, 4), (5, 6, 7, 8, 9), (0, 3, 5, 6, 8))
"""The classes of Fashion-MNIST that are learnt from; the others are never seen."""

PER_CLASS = 400


def write_classes(folder: Path, part: str, classes: Sequence[int], count: int) -> Path:
    """Write pictures of some classes of Fashion-MNIST, a folder for each class."""
    pictures, labels = read_fashion(part)
    for number in classes:
        place = folder / CLASSES[number].replace("/", "-")
        place.mkdir(parents=True)
        for row in np.flatnonzero(labels == number)[:count]:
            Image.fromarray(pictures[row]).save(place / f"{row}.png")
    return folder


def embedding(faces: Path) -> None:
    """Print recall@1 of leave-one-out with the chosen embedding and with the plain last layer."""
    print("| images | chosen | recall@1 | plain last layer, cosine | difference, 95% |")
    print("| --- " * 5 + "|")
    with tempfile.TemporaryDirectory() as root:
        fashion = write_classes(Path(root) / "fashion", "train", range(10), 200)
        for name, data in (("Fashion-MNIST, 2,000", fashion), ("faces", faces)):
            gallery = hs.Gallery.create(
                data, out=Path(root) / name.split()[0], cache=root, progress=False
            )
            store = gallery._store
            enrolled = store.table.enrolled()
            labels = np.unique(np.array(enrolled.labels), return_inverse=True)[1]
            groups = np.unique(np.array(enrolled.groups), return_inverse=True)[1]
            rows = np.arange(len(labels))
            found = retrieve(enrolled.points, labels, groups, rows)
            paths = _paths(data, enrolled.images)
            features = np.concatenate(list(store.extractor.of_images(map(Image.open, paths))))
            columns = store.extractor.layout.columns("last")
            plain = features[:, columns].astype(np.float32)
            plain /= np.linalg.norm(plain, axis=1, keepdims=True)
            untreated = retrieve(plain, labels, groups, rows)
            known = found.rank > 0
            low, high = paired_difference((found.rank == 1)[known], (untreated.rank == 1)[known])
            settings = store.settings
            print(
                f"| {name} | {settings.treatment} {settings.features} | {found.recall(1):.4f} | "
                f"{untreated.recall(1):.4f} | {low:+.4f} to {high:+.4f} |",
                flush=True,
            )


def strangers() -> None:
    """Print how many pictures of classes that are not enrolled are unknown."""
    print("| enrolled | known: right | wrong | unknown | strangers unknown | nearest mean's |")
    print("| --- " * 6 + "|")
    for split in SPLITS:
        others = [number for number in range(10) if number not in split]
        with tempfile.TemporaryDirectory() as root:
            train = write_classes(Path(root) / "train", "train", split, PER_CLASS)
            known = write_classes(Path(root) / "known", "t10k", split, 100)
            new = write_classes(Path(root) / "new", "t10k", others, 100)
            gallery = hs.Gallery.create(
                train, out=Path(root) / "gallery", cache=root, progress=False
            )
            model = hs.train(
                train, head="nearest", out=Path(root) / "run", cache=root, progress=False, test=0.0
            ).model
            answers = gallery.search(sorted(known.rglob("*.png")))
            truths = [path.parent.name for path in sorted(known.rglob("*.png"))]
            right = np.mean(
                [one.label == truth for one, truth in zip(answers, truths, strict=True)]
            )
            unknown = np.mean([one.unknown for one in answers])
            found = [one.unknown for one in gallery.search(sorted(new.rglob("*.png")))]
            nearest = [one.unknown for one in model.predict(sorted(new.rglob("*.png")))]
            print(
                f"| {split} | {right:.3f} | {1 - right - unknown:.3f} | {unknown:.3f} | "
                f"{_share(found)} | {_share(nearest)} |",
                flush=True,
            )


def metric(splits: Sequence[Sequence[int]] = SPLITS) -> None:
    """Print recall@1 on classes that were never seen, with the frozen and the tuned network."""
    print("| learnt | frozen recall@1 | tuned | errors | mAP@R | tuned | kept, step | minutes |")
    print("| --- " * 8 + "|")
    changes = []
    for split in splits:
        others = [number for number in range(10) if number not in split]
        with tempfile.TemporaryDirectory() as root:
            train = write_classes(Path(root) / "train", "train", split, PER_CLASS)
            new = write_classes(Path(root) / "new", "t10k", others, PER_CLASS)
            begin = time.perf_counter()
            tuned = hs.train(
                *(train,),
                objective="metric",
                out=Path(root) / "run",
                cache=root,
                progress=False,
                test=0.0,
            )
            minutes = (time.perf_counter() - begin) / 60
            size = tuned.record.image_size
            frozen = hs.train(
                train, image_size=size, out=Path(root) / "f", cache=root, progress=False, test=0.0
            )
            trials = [
                hs.Gallery.create(
                    new, model=run, out=Path(root) / name, cache=root, progress=False
                )._store.settings.trials[0]
                for name, run in (("before", frozen.run), ("after", tuned.run))
            ]
            before, after = trials
            change = (1 - after.recall_at_1) / (1 - before.recall_at_1) - 1
            changes.append(change)
            record = tuned.record.metric_tuning
            print(
                f"| {split} | {before.recall_at_1:.4f} | {after.recall_at_1:.4f} | {change:+.1%} | "
                f"{before.map_at_r:.3f} | {after.map_at_r:.3f} | {record.kept}, {record.step} | "
                f"{minutes:.1f} |",
                flush=True,
            )
    print(f"| mean | | | {np.mean(changes):+.1%} | | | | |")


def scale(sizes: Sequence[int] = (100_000, 1_000_000)) -> None:
    """Print the time to add an image and to search one, beyond the network, and the recall."""
    print("| images | made, s | index | add, ms | search, ms | recall@10 |")
    print("| --- " * 6 + "|")
    points, labels = _fashion_points()
    for size in sizes:
        with tempfile.TemporaryDirectory() as root:
            draw = np.random.default_rng(0)
            store = _empty_store(Path(root), points.shape[1])
            table = store.table
            begin = time.perf_counter()
            every = []
            for start in range(0, size, 50_000):
                rows = draw.integers(0, len(points), min(50_000, size - start))
                new = _noisy(points[rows], draw)
                every.append(new)
                names = [f"{start + number:08d}" for number in range(len(rows))]
                table.append(_enrolled(names, labels[rows], new))
            made, vectors = time.perf_counter() - begin, np.concatenate(every)
            queries = _noisy(points[draw.integers(0, len(points), 200)], draw)
            table.nearest(queries[0], 10)
            seconds, hits = [], []
            for query in queries:
                begin = time.perf_counter()
                found, _ = table.nearest(query, 10)
                seconds.append(time.perf_counter() - begin)
                exact = np.argpartition(vectors @ query, -10)[-10:]
                wanted = {f"{row:08d}" for row in exact.tolist()}
                hits.append(len(wanted & {row.image for row in found}) / 10)
            added = []
            for number in range(20):
                begin = time.perf_counter()
                store.enrol(_enrolled([f"new-{number}"], labels[:1], queries[number][np.newaxis]))
                added.append(time.perf_counter() - begin)
            print(
                f"| {size:,} | {made:.0f} | {table.has_index} | {1e3 * np.median(added):.0f} | "
                f"{1e3 * np.median(seconds):.1f} | {np.mean(hits):.3f} |",
                flush=True,
            )


def faces(folder: Path) -> None:
    """Print how well pairs of faces are told apart; a network is tuned on one half of the people.

    Each half of the people has ten folds with its own people. The pairs of a half are compared by
    the network that was tuned on the other half.
    """
    print("| model | people | pairs | accuracy | ± | EER | AUROC | accepted at 1% |")
    print("| --- " * 8 + "|")
    people = sorted(path.name for path in folder.iterdir() if path.is_dir())
    random.Random(0).shuffle(people)
    halves = people[::2], people[1::2]
    with tempfile.TemporaryDirectory() as root:
        for number, half in enumerate(halves):
            table = write_pairs(folder, half, Path(root) / f"pairs-{number}.csv")
            other = Path(root) / f"learnt-{number}"
            other.mkdir()
            for person in halves[1 - number]:
                (other / person).symlink_to((folder / person).resolve())
            tuned = hs.train(
                *(other,),
                objective="metric",
                out=Path(root) / f"run-{number}",
                cache=root,
                progress=False,
                test=0.0,
            )
            print(f"<!-- {tuned.record.metric_tuning.sentence} -->")
            for name, model in (("frozen", BACKBONE), ("tuned", str(tuned.run))):
                _verified(name, f"half {number + 1}", model, table, root)
        table = write_pairs(folder, people, Path(root) / "pairs.csv")
        for name in (BACKBONE, "dlib-face"):
            _verified(name, "all", name, table, root)


def _verified(name: str, part: str, model: str, table: Path, cache: str) -> None:
    found = hs.verify(model, table, cache=cache, progress=False).verification
    accepted = dict(found.tar_at_far).get(0.01)
    print(
        f"| {name} | {part} | {found.pairs:,} | {found.accuracy:.3f} | {found.accuracy_se:.3f} | "
        f"{found.eer:.3f} | {found.auroc:.3f} | {f'{accepted.value:.3f}' if accepted else ''} |",
        flush=True,
    )


def verify(folder: Path) -> None:
    """Print the time of 6,000 pairs by a gallery whose features are stored, imports and all."""
    people = sorted(path.name for path in folder.iterdir() if path.is_dir())
    with tempfile.TemporaryDirectory() as root:
        table = write_pairs(folder, people, Path(root) / "pairs.csv", extra=2_400)
        gallery = hs.Gallery.create(folder, out=Path(root) / "g", cache=root, progress=False)
        for model in (str(gallery.folder), BACKBONE):
            command = [
                *(str(Path(sys.executable).with_name("headstart")), "gallery", "verify", model),
                *(str(table), "--cache", root, "--json"),
            ]
            subprocess.run(command, capture_output=True, check=True)
            seconds = []
            for _ in range(3):
                begin = time.perf_counter()
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                seconds.append(time.perf_counter() - begin)
            name = "a gallery" if model != BACKBONE else f"the backbone {BACKBONE}, with PyTorch"
            print(f"{json.loads(done.stdout)['pairs']:,} pairs by {name}: {min(seconds):.1f} s")


def write_pairs(folder: Path, people: Sequence[str], table: Path, *, extra: int = 0) -> Path:
    """Write pairs in ten folds, each with its own people: all pairs of the same person.

    As many are of different people, and `extra` more.
    """
    draw = random.Random(0)
    rows: list[list[object]] = []
    for fold in range(10):
        own = people[fold::10]
        photos = {person: sorted((folder / person).iterdir()) for person in own}
        same = [pair for person in own for pair in combinations(photos[person], 2)]
        different: set[tuple[Path, Path]] = set()
        while len(different) < len(same) + extra // 10:
            first, second = draw.sample(own, 2)
            different.add((draw.choice(photos[first]), draw.choice(photos[second])))
        rows += [[*map(str, pair), 1, fold] for pair in same]
        rows += [[*map(str, pair), 0, fold] for pair in sorted(different)]
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["path1", "path2", "same", "fold"], *rows])
    return table


def _paths(data: Path, names: Sequence[str]) -> list[Path]:
    return [data / name for name in names]


def _share(flags: Sequence[bool]) -> str:
    low, high = wilson(sum(flags), len(flags))
    return f"{np.mean(flags):.3f} ({low:.3f} to {high:.3f})"


def _fashion_points() -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings of Fashion-MNIST in 320 dimensions, of length 1, and their labels."""
    pictures, labels = read_fashion("train")
    rows = np.random.default_rng(0).permutation(len(labels))[:3_000]
    images = [Image.fromarray(one).convert("RGB") for one in pictures[rows]]
    features = hs.Featurizer(BACKBONE, features="last").fit_transform(images)
    centred = features - features.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    points = centred @ axes[:320].T
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), labels[rows]


def _empty_store(root: Path, dimensions: int) -> GalleryStore:
    """Return a gallery without images, for embeddings of so many dimensions."""
    few = write_classes(root / "few", "train", (0, 1), 2)
    store = hs.Gallery.create(few, out=root / "gallery", cache=root, progress=False)._store
    shutil.rmtree(store.table.path)
    store.table = GalleryTable.create(store.table.path, dimensions)
    return store


def _noisy(points: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Return points with noise within a class, of length 1."""
    noise = draw.normal(0, 0.5 / points.shape[1] ** 0.5, points.shape)
    moved = points + noise
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


def _enrolled(names: Sequence[str], labels: np.ndarray, points: np.ndarray) -> Enrolled:
    texts = [CLASSES[number] for number in labels.tolist()]
    return Enrolled(names, names, texts, names, [{} for _ in names], points)


if __name__ == "__main__":
    print(describe())
    what, *more = sys.argv[1:]
    if what == "embedding":
        embedding(Path(more[0]))
    elif what == "strangers":
        strangers()
    elif what == "metric":
        metric([SPLITS[int(number)] for number in more[0].split(",")] if more else SPLITS)
    elif what == "scale":
        scale([int(size) for size in more[0].split(",")] if more else (100_000, 1_000_000))
    elif what == "faces":
        faces(Path(more[0]))
    else:
        verify(Path(more[0]))
