"""The script beside an exported model: it reads files as the model was trained on them."""

import runpy
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.data.contract import CURRENT, FIRST
from headstart.data.decoding import decode_image, read_image
from headstart.data.preprocessing import Preprocess
from headstart.errors import ExportError, UnreadableImage
from headstart.exporting.hard_cases import write_hard_cases
from headstart.exporting.metadata import _preprocess
from headstart.exporting.script import run_script, script
from tests.conftest import COLOURS, picture
from tests.exporting.conftest import parsed

REFUSED = {"sixteen_bits.png", "cut_off.jpg"}

WITHOUT = """
import runpy, sys
for name in {names!r}:
    sys.modules[name] = None
sys.argv = {arguments!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def hard(tmp_path_factory):
    """Write the hard cases, and more files of unusual kinds."""
    folder = tmp_path_factory.mktemp("hard")
    pictures = [picture(number, colour, 96) for number, colour in enumerate(COLOURS.values())]
    files = write_hard_cases(pictures, folder / "cases")
    return [*files, *write_unusual(pictures[0], folder)]


def write_unusual(image, folder):
    """Write files of unusual kinds that the model reads as well."""
    layer = image.resize((40, 70))
    layer.putalpha(Image.linear_gradient("L").resize(layer.size))
    exif = Image.Exif()
    exif[0x0112] = 8
    files = {
        "one.png": Image.new("RGB", (1, 1), (200, 30, 40)),
        "one_grey.png": Image.new("L", (1, 1), 77),
        "grey_alpha.png": layer.convert("LA"),
        "palette_alpha.png": image.quantize(16),
        "grey.jpg": image.convert("L"),
        "large_cmyk.jpg": image.convert("CMYK").resize((900, 700)),
        "animated.gif": image,
        "bitmap.bmp": image,
        "grey.tif": image.convert("L"),
        "alpha.webp": layer,
        "portable.ppm": image,
        "turned.png": image.resize((50, 90)),
    }
    options = {
        "palette_alpha.png": {"transparency": bytes(range(0, 256, 16))},
        "animated.gif": {"save_all": True, "append_images": [image.rotate(90)]},
        "turned.png": {"exif": exif},
        "alpha.webp": {"lossless": True},
    }
    for name, one in files.items():
        one.save(folder / name, **options.get(name, {}))
    return [folder / name for name in files]


@pytest.fixture
def functions(tmp_path):
    """Return a function that renders a script and returns its functions."""

    def make(resize="squash", contract=CURRENT):
        values = {"format": "onnx", "runtime": "onnxruntime", "outputs": ("probabilities",)}
        values |= {"many": False, "contract": contract.version, "resize": resize}
        (tmp_path / "predict.py").write_text(script(values))
        return runpy.run_path(str(tmp_path / "predict.py"))

    return make


def read_closed(read, path, how):
    """Read an image with the function of the script, and close its file."""
    with path.open("rb") as file:
        return read(file, how)


def run(folder, files, *, without=(), **options):
    """Run the script in a process that cannot import some packages."""
    arguments = [str(folder / "predict.py"), *map(str, files)]
    program = WITHOUT.format(names=without, arguments=arguments)
    command = [sys.executable, "-I", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize("contract", [FIRST, CURRENT], ids=["first", "current"])
@pytest.mark.parametrize(
    ("resize", "crop", "interpolation"),
    [("squash", 1.0, "bicubic"), ("pad", 1.0, "bilinear"), ("shorter", 0.875, "lanczos")],
)
def test_it_reads_pixels_as_the_model_does(hard, functions, resize, crop, interpolation, contract):
    """Every file gives the pixels of `Preprocess`, bit for bit, or is refused."""
    preprocess = Preprocess(
        64, resize=resize, crop=crop, interpolation=interpolation, contract=contract
    )
    read, how, refused = functions(resize, contract)["read"], _preprocess(preprocess), set()
    for file in hard:
        try:
            pixels = read_closed(read, file, how)
        except (ValueError, OSError):
            refused.add(file.name)
            continue
        image = decode_image(
            read_image(str(file)), path=str(file), min_side=preprocess.min_side, contract=contract
        )
        np.testing.assert_array_equal(pixels, preprocess.pixels(image), err_msg=file.name)
    assert refused == REFUSED


def test_it_refuses_what_the_model_refuses(functions, tmp_path):
    """An image without visible pixels, with the rules of today, is not an image of anything."""
    path = tmp_path / "invisible.png"
    Image.new("RGBA", (80, 80), (255, 0, 0, 0)).save(path)
    how = _preprocess(Preprocess(64))
    with pytest.raises(ValueError, match=r"^it is fully transparent$"):
        read_closed(functions()["read"], path, how)
    with pytest.raises(UnreadableImage, match="transparent"):
        decode_image(read_image(str(path)), path=str(path))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("grey.png", np.full((70, 70), 40_000, np.uint16)),
        ("grey.tif", np.full((70, 70), 40_000, np.uint16)),
        ("float.tif", np.full((70, 70), 0.5, np.float32)),
    ],
)
def test_more_than_eight_bits_are_refused_by_a_sentence(functions, tmp_path, name, values):
    """The script does not guess which of 65,536 levels is white."""
    Image.fromarray(values).save(tmp_path / name)
    with pytest.raises(
        ValueError, match=r"^more than 8 bits per channel: convert it to 8 bits first$"
    ):
        read_closed(functions()["read"], tmp_path / name, _preprocess(Preprocess(64)))


def test_sixteen_bits_of_colour_are_refused(functions, tmp_path):
    """Pillow would keep the upper eight bits and say nothing."""
    write_sixteen_bits(tmp_path / "colour.png")
    with pytest.raises(
        ValueError, match=r"^more than 8 bits per channel: convert it to 8 bits first$"
    ):
        read_closed(functions()["read"], tmp_path / "colour.png", _preprocess(Preprocess(64)))


def write_sixteen_bits(path):
    """Write a PNG of 70 by 70 pixels with 16 bits per channel, which Pillow cannot write."""
    rows = (b"\0" + b"\x80\x01" * 210) * 70
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 70, 70, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def test_it_runs_without_torch_and_this_project(exported, model, hard):
    """Only the runtime, NumPy and Pillow are needed; each file has its answer in order."""
    folder = hard[0].parent
    (folder / "text.png").write_text("This is not an image.")
    files = [*hard, folder / "text.png", folder / "none.png"]
    names = ("torch", "torchvision", "headstart", "openvino", "onnx", "timm", "scipy", "sklearn")
    done = run(folder_of(exported("onnx")), files, without=names, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    answers = parsed(done.stdout)
    assert [one["image"] for one in answers] == [str(file) for file in files]
    failed = {file.name for file, one in zip(files, answers, strict=True) if "error" in one}
    assert failed == {*REFUSED, "text.png", "none.png"}
    errors = [one.get("error", "") for one in answers[-2:]]
    assert errors[0].startswith("cannot identify image file")
    assert errors[1].startswith("[Errno 2] No such file or directory")
    for one, expected in zip(answers, model.predict(files, errors="keep"), strict=True):
        if "error" not in one:
            assert (one["label"], one["unknown"]) == (expected.label, expected.unknown)
            assert list(one["probabilities"]) == ["blue", "red"]
            rows = list(one["probabilities"].values())
            np.testing.assert_allclose(rows, expected.probabilities, atol=1e-4)


def test_it_is_short(exported):
    """A reader can check it at a glance, in ONNX and for a plain resize."""
    text = (folder_of(exported("onnx")) / "predict.py").read_text()
    assert len(text.splitlines()) < 80
    assert max(map(len, text.splitlines())) <= 100
    assert "torch" not in text and "openvino" not in text and "headstart." not in text


def test_the_help_names_its_arguments(exported):
    """The script says how it is called."""
    done = run(folder_of(exported("onnx")), ["--help"])
    assert done.returncode == 0
    assert "Print one line of JSON for each image." in done.stdout


@pytest.fixture
def _start_scripts(monkeypatch):
    """Start the processes of scripts, as users do."""
    monkeypatch.setattr("headstart.exporting.script.subprocess", subprocess)


@pytest.mark.usefixtures("_start_scripts")
def test_many_files_are_run_in_several_processes(tmp_path, monkeypatch):
    """The answers are in order, and the last one is not lost."""
    monkeypatch.setattr("headstart.exporting.script._CHARACTERS", 2 * len(str(tmp_path)))
    program = "import json, sys\nfor name in sys.argv[3:]:\n    print(json.dumps({'image': name}))"
    (tmp_path / "predict.py").write_text(program)
    files = [tmp_path / f"{number}.png" for number in range(5)]
    answers = list(run_script(tmp_path, files))
    assert answers == [{"image": str(file)} for file in files]


@pytest.mark.usefixtures("_start_scripts")
@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("raise ImportError('no onnxruntime')", "run: ImportError: no onnxruntime"),
        ("import os; os._exit(3)", "run: status 3"),
        ("print(1)", "The exported model gave 1 answers for 2 images."),
    ],
)
def test_a_script_that_fails_is_an_error(tmp_path, program, text):
    """The last line of what it says is repeated."""
    (tmp_path / "predict.py").write_text(program)
    with pytest.raises(ExportError) as caught:
        list(run_script(tmp_path, [tmp_path / "a.png", tmp_path / "b.png"]))
    assert str(caught.value).endswith(text)


def folder_of(record):
    """Return the folder of an export."""
    return Path(record.folder)
