"""Exported models against the models that they were made from, on solar cells.

python -m benchmarks.export parity FOLDER [NAME,NAME…]   every backbone, at full size
python -m benchmarks.export heads FOLDER                 every head, one and several labels
python -m benchmarks.export int8 FOLDER                  speed, size and accuracy
python -m benchmarks.export elsewhere FOLDER             environments without this project

The weights of EfficientNet-Lite are real, those of other backbones random. Each row is one export
with its gate: had a label or a probability differed, it would say so instead of figures.
"""

import csv
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import headstart as hs
from benchmarks.machine import describe
from headstart.backbones.catalogue import CATALOGUE
from headstart.commands.demo import write_solar_cells
from headstart.errors import HeadstartError
from headstart.exporting.formats import FORMATS
from headstart.exporting.readme import describe as describe_int8
from headstart.predictor.decoding import decode_ahead
from headstart.predictor.predictor import Predictor

FILES, TRAINED_ON = 200, 150
HEADS = {
    "linear": hs.LinearHead(),
    "kernel": hs.KernelHead(),
    "mlp": hs.MLPHead(),
    "nearest": hs.NearestHead(),
    "stack": hs.AutoHead(),
}
RUNTIMES = {"onnx": ["onnxruntime", "onnx"], "openvino": ["openvino"], "torch": ["torch==2.13.0"]}


def parity(root: Path, names: Sequence[str]) -> None:
    """Export every backbone with the default head."""
    data = hs.open_images(_table(root), cache=root / "cache", progress=False)
    _print_header("backbone")
    for entry in CATALOGUE:
        if names and entry.name not in names:
            continue
        weights = "imagenet" if entry.name.startswith("efficientnet-lite") else "random"
        backbone = hs.load_backbone(entry.name, weights=weights)
        model = _fit(root, backbone, data, hs.AutoHead())
        for kind in ("onnx", "openvino"):
            _print_row(f"{entry.name}, {weights}", model, kind, data, root)


def heads(root: Path) -> None:
    """Export EfficientNet-Lite0 with every head, in every format."""
    _print_header("head")
    one = hs.open_images(_table(root), cache=root / "cache", progress=False)
    named = {"labels": "defective,one crystal", "progress": False}
    several = hs.open_images(_labels_table(root), cache=root / "cache", **named)
    for task, data in (("one label", one), ("several labels", several)):
        for name, head in HEADS.items():
            if task == "several labels" and name == "nearest":
                continue  # It has one label per image.
            model = _fit(root, hs.load_backbone(), data, head)
            for kind in FORMATS:
                _print_row(f"{name}, {task}", model, kind, data, root)


def int8(root: Path, names: Sequence[str] = ("efficientnet-lite0", "resnet50")) -> None:
    """Time bf16, float32 and 8-bit integers in OpenVINO, and compare their accuracy."""
    print(f"machine: {describe()}\n")
    print("| backbone | numbers | images/s | ratio | MB | accuracy |")
    print("| --- " * 6 + "|")
    table = write_solar_cells(root / "images")
    for name in names:
        weights = "imagenet" if name.startswith("efficientnet-lite") else "random"
        run = root / f"run-{name}"
        if not run.exists():
            hs.train(table, backbone=name, weights=weights, out=run, cache=root, progress=False)
        _print_speeds(root, run, name)


def elsewhere(root: Path) -> None:
    """Run each format in an environment that has nothing of this project."""
    print("| format | environment, MB | seconds of one image | answer |")
    print("| --- " * 4 + "|")
    data = hs.open_images(_table(root), cache=root / "cache", progress=False)
    model = _fit(root, hs.load_backbone(), data, hs.AutoHead())
    for kind, packages in RUNTIMES.items():
        out = root / f"elsewhere-{kind}"
        record = _export(model, kind, data, out)
        python = _environment(root / f"environment-{kind}", packages)
        image = data.test.paths[0]
        seconds, answer = min(_timed(python, out, image) for _ in range(3))
        size = _megabytes(python.parent.parent)
        print(f"| {record.format} | {size:.0f} | {seconds:.2f} | {answer} |", flush=True)
        print(_opened(kind, python, out), flush=True)


def _print_header(what: str) -> None:
    print(f"machine: {describe()}\n")
    print(
        f"| {what} | format | files | labels that differ | largest difference | batch of 1 | MB "
        "| seconds |"
    )
    print("| --- " * 8 + "|", flush=True)


def _print_row(name: str, model: Predictor, kind: str, data: hs.Images, root: Path) -> None:
    begin = time.perf_counter()
    try:
        record = _export(model, kind, data, root / "out")
    except HeadstartError as error:
        print(f"| {name} | {kind} | {' '.join(str(error).split())[:400]} |", flush=True)
        return
    found = record.parity
    size = sum(size for file, size in record.files if file.startswith("model")) / 1e6
    print(
        f"| {name} | {kind} | {found.images + found.hard_cases} | 0 | {found.difference:.1e} "
        f"| {found.batch_difference:.1e} | {size:.1f} | {time.perf_counter() - begin:.0f} |",
        flush=True,
    )


def _export(model: Predictor, kind: Any, data: hs.Images, out: Path) -> Any:
    folder = out.parent / "files"
    if not folder.exists():
        folder.mkdir()
        for path in data.test.paths[:FILES]:
            (folder / Path(path).name).symlink_to(path)
    return hs.export(model, format=kind, out=out, images=folder, overwrite=True, progress=False)


def _fit(root: Path, backbone: Any, data: hs.Images, head: Any) -> Predictor:
    rows = np.random.default_rng(0).permutation(len(data.train))[:TRAINED_ON]
    # In float32, so that the model is not run twice.
    model = hs.Classifier(
        backbone, head, classes=data.classes, cache=root / "cache", precision="float32"
    )
    return model.fit(data.train.take(np.sort(rows)), progress=False).predictor


def _table(root: Path) -> Path:
    return write_solar_cells(root / "images")


def _labels_table(root: Path) -> Path:
    """Write a table with two labels: whether a cell is defective, and whether it is one crystal."""
    rows = list(csv.DictReader(_table(root).open()))
    listed = Path(rows[0]["path"]).parent.parent / "labels.csv"
    kinds = {name: kind for name, _, kind in map(str.split, listed.read_text().splitlines())}
    table = root / "labels.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "defective", "one crystal", "split"])
        for row in rows:
            kind = kinds[f"images/{Path(row['path']).name}"]
            flags = int(row["label"] == "defective"), int(kind == "mono")
            writer.writerow([row["path"], *flags, row["split"]])
    return table


def _print_speeds(root: Path, run: Path, name: str) -> None:
    from headstart.engines.quiet_openvino import ov

    options: dict[str, Any] = {"format": "openvino", "overwrite": True, "cache": root}
    found = hs.export(run, int8=True, out=root / "int8", progress=False, **options).quantisation
    hs.export(run, out=root / "float32", progress=False, **options)
    model = hs.load(run, precision="float32", cache=root)
    data = hs.open_images(_table(root), cache=root / "cache", progress=False)
    decoded = decode_ahead(data.test.paths[:64], model.extractor.preprocess)
    pixels = np.stack([np.asarray(each) for _, each in decoded])
    networks = {
        (folder, hint): ov.Core().compile_model(
            root / folder / "model.xml",
            "CPU",
            {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": hint},
        )
        for folder in ("float32", "int8")
        for hint in ("f32", "bf16")
    }
    seconds = dict.fromkeys(networks, np.inf)
    for _ in range(4):
        for key, network in networks.items():
            begin = time.perf_counter()
            _run(network, pixels)
            seconds[key] = min(seconds[key], time.perf_counter() - begin)
    accuracy = {"float32": f"{found.float32:.3f}", "int8": f"{found.int8:.3f}"}
    for (folder, hint), best in seconds.items():
        size = (root / folder / "model.bin").stat().st_size / 1e6
        print(
            f"| {name} | {folder}, the rest in {hint} | {len(pixels) / best:.0f} "
            f"| {seconds['float32', 'f32'] / best:.2f} | {size:.1f} "
            f"| {accuracy[folder] if hint == 'f32' else ''} |",
            flush=True,
        )
    print(f"{name}: {' '.join(describe_int8(found))}", flush=True)


def _run(network: Any, pixels: Any) -> None:
    from headstart.engines.quiet_openvino import ov

    queue = ov.AsyncInferQueue(network)
    for start in range(0, len(pixels), 8):
        queue.start_async({0: pixels[start : start + 8]})
    queue.wait_all()


def _environment(folder: Path, packages: Sequence[str]) -> Path:
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        command = [str(python), "-m", "pip", "install", "-q", "numpy", "pillow", *packages]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return python


def _timed(python: Path, out: Path, image: str) -> tuple[float, str]:
    begin = time.perf_counter()
    command = [str(python), str(out / "predict.py"), image]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - begin, done.stdout.split('"label": ')[1].split(",")[0]


def _opened(kind: str, python: Path, out: Path) -> str:
    """Open the file with the runtime's own tools, and say which modules of ours were there."""
    check = {
        "onnx": "import onnx; onnx.checker.check_model(onnx.load('model.onnx'), full_check=True)",
        "openvino": "import openvino; print(openvino.Core().read_model('model.xml').inputs)",
        "torch": "import torch; print(torch.export.load('model.pt2').graph_signature.user_inputs)",
    }[kind]
    code = f"{check}; import importlib.util as u; print(u.find_spec('headstart'))"
    done = subprocess.run(
        [str(python), "-c", code], cwd=out, capture_output=True, text=True, check=True
    )
    return f"opened by {kind}: {done.stdout.strip()}"


def _megabytes(folder: Path) -> float:
    return sum(file.lstat().st_size for file in _files(folder)) / 1e6


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def main() -> None:
    """Run what was asked for."""
    what, folder, *rest = sys.argv[1:]
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    names = rest[0].split(",") if rest else []
    if what == "parity":
        parity(root, names)
    elif what == "heads":
        heads(root)
    elif what == "int8":
        int8(root, names) if names else int8(root)
    else:
        elsewhere(root)


if __name__ == "__main__":
    main()
