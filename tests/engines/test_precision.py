"""Choice of the numeric precision: a trial decides once and is cached."""

import os

import pytest

from headstart.engines import openvino_engine
from headstart.engines.openvino_engine import OpenVinoEngine, cpu_has_bf16
from headstart.engines.precision import (
    cached_trial,
    faster_precision,
    resolve_precision,
    try_precisions,
)
from headstart.errors import OptionError
from headstart.record import PrecisionTrial
from tests.engines.test_openvino_engine import SIZE, pooling

FASTER = PrecisionTrial(float32=100.0, bf16=200.0, cosine=0.999)
SLOWER = PrecisionTrial(float32=173.0, bf16=131.0, cosine=0.999)


@pytest.mark.parametrize(
    ("precision", "supported", "resolved"),
    [
        ("auto", True, None),
        ("auto", False, "float32"),
        ("float32", True, "float32"),
        ("float32", False, "float32"),
        ("bf16", True, "bf16"),
    ],
)
def test_precision_is_resolved_unless_a_trial_decides(monkeypatch, precision, supported, resolved):
    """A trial only decides for "auto" on a processor that supports bf16."""
    monkeypatch.setattr(openvino_engine, "cpu_has_bf16", lambda: supported)
    assert resolve_precision(precision, "cpu") == resolved


def test_unsupported_bf16_is_an_error(monkeypatch):
    """The error says what to use instead."""
    monkeypatch.setattr(openvino_engine, "cpu_has_bf16", lambda: False)
    with pytest.raises(OptionError) as caught:
        resolve_precision("bf16", "cpu")
    assert str(caught.value) == (
        "precision 'bf16' was requested, but this cpu does not support it. Use 'float32'."
    )


def test_an_unknown_precision_is_an_error():
    """An unknown precision is not treated like "auto"."""
    with pytest.raises(OptionError, match="fp16"):
        resolve_precision("fp16", "cpu")


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
def test_bf16_is_chosen_if_it_is_faster_and_accurate(float32, bf16, cosine, chosen):
    """bf16 has to be 5% faster and agree with float32."""
    assert faster_precision(PrecisionTrial(float32, bf16, cosine)) == chosen


def refuse():
    """Fail if a trial is run."""
    raise AssertionError("timed again")


def test_a_trial_is_cached(tmp_path):
    """A second process uses the cached trial of the same network and image size."""
    first = cached_trial(tmp_path / "new", "net", 224, lambda: SLOWER)
    assert first == cached_trial(tmp_path / "new", "net", 224, refuse) == SLOWER
    assert cached_trial(tmp_path / "new", "net", 256, lambda: FASTER) == FASTER
    assert cached_trial(tmp_path / "new", "other", 224, lambda: FASTER) == FASTER
    assert len(list((tmp_path / "new").iterdir())) == 3


def test_another_processor_or_version_has_its_own_trial(tmp_path, monkeypatch):
    """A cache folder that two machines share has a trial for each."""
    cached_trial(tmp_path, "net", 224, lambda: SLOWER)
    monkeypatch.setattr(openvino_engine, "cpu_info", lambda: {"processor": "another"})
    assert cached_trial(tmp_path, "net", 224, lambda: FASTER) == FASTER


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"{}", b'{"float32": "fast"}'])
def test_a_damaged_file_is_replaced(tmp_path, content):
    """If the file cannot be read, the trial is run again."""
    cached_trial(tmp_path, "net", 224, lambda: SLOWER)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    assert cached_trial(tmp_path, "net", 224, lambda: FASTER) == FASTER
    assert cached_trial(tmp_path, "net", 224, refuse) == FASTER
    assert list(tmp_path.iterdir()) == [path]


def test_the_first_of_two_processes_decides(tmp_path):
    """If another process has written its trial in the meantime, that one is used."""

    def second():
        cached_trial(tmp_path, "net", 224, lambda: SLOWER)
        return FASTER

    assert cached_trial(tmp_path, "net", 224, second) == SLOWER


def test_a_folder_without_hard_links(tmp_path, monkeypatch):
    """If files cannot be linked, they are moved."""

    def no_links(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", no_links)
    cached_trial(tmp_path, "net", 224, lambda: SLOWER)
    assert cached_trial(tmp_path, "net", 224, refuse) == SLOWER


def test_an_unwritable_cache_is_ignored(tmp_path):
    """If the trial cannot be cached, its result is still used."""
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    assert cached_trial(blocked / "networks", "net", 224, lambda: FASTER) == FASTER


@pytest.mark.skipif(not cpu_has_bf16(), reason="the processor has no bf16")
def test_a_trial_of_a_network(tmp_path):
    """Both engines run, share one converted network, and have similar features."""
    network = pooling()

    def build(name):
        return OpenVinoEngine(lambda: network, size=SIZE, precision=name, cache=tmp_path, key="net")

    trial = try_precisions(build, SIZE, seconds=0.01)
    assert trial.float32 > 0
    assert trial.bf16 > 0
    assert 0.99 < trial.cosine <= 1.0001
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
