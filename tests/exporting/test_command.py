"""`headstart export` on the command line."""

import json
import re

import pytest

from tests.exporting.conftest import parsed
from tests.exporting.test_script import run


@pytest.fixture
def command(headstart, trained, photos, tmp_path):
    """Return a function that exports the run to `tmp_path / "out"`, checked with three images."""
    cache = trained.run.parent / "cache"

    def call(*options, model=trained.run):
        where = ("--out", tmp_path / "out", "--images", photos, "--cache", cache)
        return headstart("export", model, *where, *options)

    return call


def test_the_checks_are_shown(command, tmp_path, photos):
    """A table of what was compared, the files with their sizes, and how to try it."""
    shown = command("--format", "openvino")
    assert shown.code == 0, shown.err
    lines = [re.split(" {2,}", line.strip()) for line in shown.out.splitlines()]
    rows = {line[0]: line[1] for line in lines if len(line) == 2}
    assert rows["check"] == "result"
    assert rows["files"] == "3 images, and 17 that are easily decoded wrongly"
    assert rows["labels other than the model's in float32"] == "0"
    assert float(rows["largest difference of probabilities"]) < 1e-4
    assert rows["refused by predict.py"] == "sixteen_bits.png, cut_off.jpg"
    text = " ".join(shown.out.split())
    assert "out: README.md (1." in text and "model.bin (0.4 MB)" in text
    assert text.endswith(f"Try it: python {tmp_path}/out/predict.py IMAGE")
    done = run(tmp_path / "out", [photos / "0.png"], without=("torch", "headstart"))
    assert parsed(done.stdout)[0]["label"] == "blue"


@pytest.mark.usefixtures("unchecked")
def test_json_is_all_of_stdout(command, tmp_path):
    """One JSON object with the record, and nothing else."""
    shown = command("--format", "openvino", "--only-features", "--json")
    assert shown.code == 0, shown.err
    values = json.loads(shown.out)
    assert shown.out.startswith("{") and shown.out.count("\n{") == 0
    assert (values["format"], values["only_features"]) == ("openvino", True)
    assert values["folder"] == str(tmp_path / "out")
    assert set(values["files"]) == {"README.md", "model.bin", "model.xml", "predict.py"}
    assert values["parity"]["refused"] == ["sixteen_bits.png", "cut_off.jpg"]


def test_an_unknown_format_is_an_error_of_usage(command, tmp_path):
    """The formats are listed, and the exit status is 2."""
    shown = command("--format", "tflite")
    assert (shown.code, shown.out) == (2, "")
    expected = "'tflite' is not one of 'onnx', 'openvino', 'torch'"
    assert expected in " ".join(shown.err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--half", "--int8"), "half and int8 exclude each other. Choose one."),
        (("--int8", "--format", "torch"), "int8 needs format onnx or openvino."),
        (("--max-drop", 1), "max_drop has an effect only with half or int8."),
    ],
)
def test_options_that_exclude_each_other(command, tmp_path, options, text):
    """The error is one sentence, without a traceback."""
    shown = command(*options)
    assert shown.code == 1 and shown.out == ""
    assert shown.error.endswith(text)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_does_not_exist(command, tmp_path):
    """The error names it, and stdout is empty even with --json."""
    shown = command("--json", model=tmp_path / "none")
    assert shown.code == 1 and shown.out == ""
    assert "none" in shown.err and "Traceback" not in shown.err
