"""Which numbers: timing decides once, is remembered, and what cannot be is an error."""

import os

import pytest

from headstart.engines import openvino_engine
from headstart.engines.openvino_engine import OpenVinoEngine, cpu_has_bf16
from headstart.engines.precision import (
    faster_precision,
    remembered_trial,
    settled_precision,
    try_precisions,
)
from headstart.errors import OptionError
from headstart.record import PrecisionTrial
from tests.engines.test_openvino_engine import SIZE, pooling

FASTER = PrecisionTrial(float32=100.0, bf16=200.0, cosine=0.999)
SLOWER = PrecisionTrial(float32=173.0, bf16=131.0, cosine=0.999)


@pytest.mark.parametrize(
    ("asked", "able", "settled"),
    [
        ("auto", True, None),
        ("auto", False, "float32"),
        ("float32", True, "float32"),
        ("float32", False, "float32"),
        ("bf16", True, "bf16"),
    ],
)
def test_precision_is_settled_where_there_is_no_choice(monkeypatch, asked, able, settled):
    """Only "auto" on a processor that computes in bf16 is left to a trial."""
    monkeypatch.setattr(openvino_engine, "cpu_has_bf16", lambda: able)
    assert settled_precision(asked, "cpu") == settled


def test_bf16_that_the_processor_lacks_is_an_error(monkeypatch):
    """Asking for bf16 without the instructions says what to use."""
    monkeypatch.setattr(openvino_engine, "cpu_has_bf16", lambda: False)
    with pytest.raises(OptionError) as caught:
        settled_precision("bf16", "cpu")
    assert str(caught.value) == (
        "precision 'bf16' is asked for, but this cpu does not compute in it. Use 'float32'."
    )


def test_an_unknown_precision_is_an_error():
    """A precision that does not exist is not taken for "auto"."""
    with pytest.raises(OptionError, match="fp16"):
        settled_precision("fp16", "cpu")


@pytest.mark.parametrize(
    ("float32", "bf16", "cosine", "chosen"),
    [
        (100, 200, 0.999, "bf16"),
        (100, 106, 0.999, "bf16"),
        (100, 104, 0.999, "float32"),
        (173, 131, 0.999, "float32"),
        (100, 200, 0.98, "float32"),
        (100, 200, float("nan"), "float32"),
    ],
)
def test_the_faster_one_is_taken_unless_it_is_wrong(float32, bf16, cosine, chosen):
    """bf16 has to be 5 % faster and to give what float32 gives."""
    assert faster_precision(PrecisionTrial(float32, bf16, cosine)) == chosen


def refuse():
    """Stand in for a trial where none may happen."""
    raise AssertionError("timed again")


def test_a_trial_is_remembered(tmp_path):
    """A second process takes the first one's trial, and only that of the same network."""
    first = remembered_trial(tmp_path / "new", "net", 224, lambda: SLOWER)
    assert first == remembered_trial(tmp_path / "new", "net", 224, refuse) == SLOWER
    assert remembered_trial(tmp_path / "new", "net", 256, lambda: FASTER) == FASTER
    assert remembered_trial(tmp_path / "new", "other", 224, lambda: FASTER) == FASTER
    assert len(list((tmp_path / "new").iterdir())) == 3


def test_another_processor_or_version_is_tried_again(tmp_path, monkeypatch):
    """A cache folder that two machines share keeps a trial for each."""
    remembered_trial(tmp_path, "net", 224, lambda: SLOWER)
    monkeypatch.setattr(openvino_engine, "cpu_facts", lambda: {"processor": "another"})
    assert remembered_trial(tmp_path, "net", 224, lambda: FASTER) == FASTER


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"{}", b'{"float32": "fast"}'])
def test_a_damaged_memory_is_made_again(tmp_path, content):
    """What cannot be read is ignored and replaced."""
    remembered_trial(tmp_path, "net", 224, lambda: SLOWER)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    assert remembered_trial(tmp_path, "net", 224, lambda: FASTER) == FASTER
    assert remembered_trial(tmp_path, "net", 224, refuse) == FASTER
    assert list(tmp_path.iterdir()) == [path]


def test_the_first_of_two_processes_is_right(tmp_path):
    """A trial that ends after another process has written its own gives way."""

    def second():
        remembered_trial(tmp_path, "net", 224, lambda: SLOWER)
        return FASTER

    assert remembered_trial(tmp_path, "net", 224, second) == SLOWER


def test_a_folder_without_hard_links(tmp_path, monkeypatch):
    """Where files cannot be linked they are moved."""

    def no_links(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", no_links)
    remembered_trial(tmp_path, "net", 224, lambda: SLOWER)
    assert remembered_trial(tmp_path, "net", 224, refuse) == SLOWER


def test_a_memory_that_cannot_be_written_is_no_harm(tmp_path):
    """Without a place to keep it, the trial counts all the same."""
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    assert remembered_trial(blocked / "networks", "net", 224, lambda: FASTER) == FASTER


@pytest.mark.skipif(not cpu_has_bf16(), reason="the processor has no bf16")
def test_a_trial_of_a_network(tmp_path):
    """Both engines run, share one converted network, and give nearly the same."""
    network = pooling()

    def build(name):
        return OpenVinoEngine(lambda: network, size=SIZE, precision=name, cache=tmp_path, key="net")

    trial = try_precisions(build, SIZE, seconds=0.01)
    assert trial.float32 > 0
    assert trial.bf16 > 0
    assert 0.99 < trial.cosine <= 1.0001
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
