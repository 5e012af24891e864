"""Files to features: through the store, in order, whatever happens in the middle."""

import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from headstart.data.preprocessing import Preprocess
from headstart.errors import DataError, StoreError, UnreadableImage
from headstart.features import store
from headstart.features.batches import in_order, stacked
from headstart.features.extraction import stored_features
from headstart.features.fingerprint import Fingerprint
from headstart.features.store import FeatureStore
from headstart.files import file_sha256
from tests.conftest import picture

WIDTH = 12
PREPROCESS = Preprocess(8)
FINGERPRINT = Fingerprint("mean", "none", (("output", WIDTH),), PREPROCESS, "bf16")


class MeanEngine:
    """An engine that averages pixels: fast, and different for every image."""

    name, precision, batch_size = "mean", "bf16", 4

    def __init__(self, factor=1.0, pause=0.0):
        self.factor, self.pause, self.images = factor, pause, 0

    def run(self, batches):
        """Give a mean for each quarter and colour."""
        for batch in batches:
            self.images += len(batch)
            time.sleep(self.pause)
            quarters = batch.reshape(len(batch), 4, -1, 3).mean(axis=2)
            yield quarters.reshape(len(batch), WIDTH).astype(np.float32) * self.factor


def no_engine():
    """Stand in for an engine where none may be built."""
    raise AssertionError("the engine was built")


@pytest.fixture
def files(tmp_path):
    """Write twenty small pictures; give path and sha256 of each."""
    out = []
    for number in range(20):
        path = tmp_path / f"{number}.png"
        picture(number, side=16).save(path)
        out.append((str(path), file_sha256(path)))
    return out


@pytest.fixture
def cache(tmp_path):
    """Give a store's folder."""
    return tmp_path / "features"


def features_of(files, folder, engine, **more):
    """Give the features of files through a store, committed after every eight images."""
    return stored_features(
        files,
        store=FeatureStore(folder),
        fingerprint=FINGERPRINT,
        engine=engine if callable(engine) else lambda: engine,
        preprocess=PREPROCESS,
        commit_every=8,
        **more,
    )


def test_features_come_in_the_order_of_the_files(files, cache):
    """Each row is its own file's, also where a file is asked for twice."""
    found, kind = features_of([*files, files[3]], cache, MeanEngine())
    assert found.shape == (21, WIDTH)
    assert kind == "float16"
    alone, _ = features_of(files[3:4], cache.with_name("other"), MeanEngine())
    np.testing.assert_array_equal(found[[3, 20]], np.repeat(alone, 2, axis=0))
    assert len(np.unique(found, axis=0)) == 20


def test_a_warm_store_never_builds_the_engine(files, cache):
    """What is stored is not computed again."""
    first, _ = features_of(files, cache, MeanEngine())
    again, _ = features_of(files[::-1], cache, no_engine)
    np.testing.assert_array_equal(again, first[::-1])


def test_only_what_is_missing_is_computed(files, cache):
    """New files cost their own extraction and no other."""
    features_of(files[:15], cache, MeanEngine())
    engine = MeanEngine()
    features_of(files, cache, engine)
    assert engine.images == 5


def test_copies_of_one_image_are_computed_once(files, cache, tmp_path):
    """Two files of equal content are one image."""
    copy = tmp_path / "copy.png"
    shutil.copy(files[0][0], copy)
    engine = MeanEngine()
    found, _ = features_of([files[0], (str(copy), files[0][1])], cache, engine)
    assert engine.images == 1
    np.testing.assert_array_equal(found[0], found[1])


def test_no_files_have_no_features(cache):
    """An empty list is no damage: its features are an empty array."""
    warnings = []
    found, _ = features_of([], cache, MeanEngine(), warn=warnings.append)
    assert found.shape == (0, WIDTH)
    assert warnings == []


def test_progress_reaches_the_end(files, cache):
    """Progress never goes back and ends with all images."""
    seen = []
    features_of(files, cache, MeanEngine(), progress=lambda *step: seen.append(step))
    assert seen == sorted(seen)
    assert seen[-1] == (20, 20)


def test_features_beyond_half_precision_are_kept_in_float32(files, cache):
    """Where half precision does not hold a feature, all are computed and kept in float32."""
    engine = MeanEngine(factor=1000.0)
    found, kind = features_of(files, cache, engine)
    assert kind == "float32"
    assert found.max() > 65504
    again, kind = features_of(files, cache, no_engine)
    assert kind == "float32"
    np.testing.assert_array_equal(again, found)
    assert [path.name for path in cache.iterdir()] == [f"{FINGERPRINT.key}-float32.lance"]


def _flip(table):
    file = max(table.rglob("data/*.lance"), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    for place in range(0, len(content), 16):
        content[place] ^= 0x55
    file.write_bytes(content)


def _truncate(table):
    file = next(iter(table.rglob("data/*.lance")))
    file.write_bytes(file.read_bytes()[:100])


def _lose_manifests(table):
    shutil.rmtree(table / "_versions")


def _garble_manifests(table):
    for file in (table / "_versions").iterdir():
        file.write_bytes(b"\x00" * 64)


@pytest.mark.parametrize("damage", [_flip, _truncate, _lose_manifests, _garble_manifests])
def test_a_damaged_store_is_told_and_computed_again(files, cache, damage):
    """Whatever is damaged, the user is told once and gets the same features."""
    first, _ = features_of(files, cache, MeanEngine())
    damage(next(cache.iterdir()))
    warnings = []
    again, _ = features_of(files, cache, MeanEngine(), warn=warnings.append)
    np.testing.assert_array_equal(again, first)
    assert len(warnings) == 1
    assert warnings[0].startswith("The feature store was damaged (")
    assert warnings[0].endswith("); its features are computed again.")
    np.testing.assert_array_equal(features_of(files, cache, no_engine)[0], first)


def test_a_store_that_cannot_be_read_for_a_moment_is_not_deleted(files, cache, monkeypatch):
    """Too many open files or a missing permission is no damage: nothing is thrown away."""
    first, _ = features_of(files, cache, MeanEngine())
    with monkeypatch.context() as patch:

        def refused(*_, **__):
            raise OSError("LanceError(IO): Permission denied (os error 13)")

        patch.setattr(store.lance, "dataset", refused)
        with pytest.raises(StoreError, match="Permission denied"):
            features_of(files, cache, MeanEngine())
    np.testing.assert_array_equal(features_of(files, cache, no_engine)[0], first)


def test_a_disk_that_fails_again_and_again_is_an_error(files, cache, monkeypatch):
    """Damage that comes back after each repair ends with an error, not in a loop."""

    def damaged(*_):
        raise store.DamagedTable("bad sector")

    monkeypatch.setattr(store.FeatureTable, "read", damaged)
    warnings = []
    with pytest.raises(DataError) as caught:
        features_of(files, cache, MeanEngine(), warn=warnings.append)
    assert str(caught.value) == (
        "The feature store is damaged again and again. Is the disk failing?"
    )
    assert len(warnings) == 3


def test_a_file_that_changed_since_the_scan(files, cache):
    """A file whose content is no longer what was hashed is named."""
    picture(99, side=16).save(files[6][0])
    with pytest.raises(DataError) as caught:
        features_of(files, cache, MeanEngine())
    assert str(caught.value) == f"'{files[6][0]}' changed while it was being read. Run again."


def test_a_file_that_is_gone(files, cache):
    """A file that was deleted since the scan is named."""
    Path(files[6][0]).unlink()
    with pytest.raises(UnreadableImage) as caught:
        features_of(files, cache, MeanEngine())
    assert str(caught.value) == f"Cannot read image '{files[6][0]}': the file does not exist."


def test_what_was_committed_before_an_error_stays(files, cache):
    """After a bad file at the end, the next run computes only the rest."""
    good = files[-1]
    bad = (good[0], "0" * 64)
    with pytest.raises(DataError):
        features_of([*files[:-1], bad], cache, MeanEngine())
    engine = MeanEngine()
    features_of(files, cache, engine)
    assert 0 < engine.images < 20


def test_a_full_disk_keeps_earlier_batches(files, cache, monkeypatch):
    """Writing that fails midway is a store error; the next run goes on from there."""
    write, table = store.lance.write_dataset, FeatureStore(cache).table(FINGERPRINT)

    def filling(*arguments, **keywords):
        if len(table.known()) >= 8:
            raise OSError("No space left on device")
        return write(*arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(store.lance, "write_dataset", filling)
        with pytest.raises(StoreError, match=r"No space left on device\. What was computed before"):
            features_of(files, cache, MeanEngine())
    engine = MeanEngine()
    found, _ = features_of(files, cache, engine)
    assert engine.images == 12
    expected, _ = features_of(files, cache.with_name("other"), MeanEngine())
    np.testing.assert_array_equal(found, expected)


def test_work_ahead_is_bounded():
    """No more results wait than asked for, however slow the reader is."""
    started, lock = [], threading.Lock()

    def work(item):
        with lock:
            started.append(item)
        return item

    with ThreadPoolExecutor(4) as pool:
        results = in_order(pool, work, range(1000), ahead=10)
        for expected in range(50):
            assert next(results) == expected
            time.sleep(0.001)
            assert len(started) <= expected + 1 + 10
        results.close()


def test_items_are_drawn_only_as_needed():
    """The list of files itself is read lazily."""
    drawn = []

    def items():
        for number in range(1000):
            drawn.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        results = in_order(pool, lambda item: item, items(), ahead=5)
        next(results)
        assert len(drawn) == 6
        assert list(results) == list(range(1, 1000))


def test_order_is_kept_whoever_is_faster():
    """A slow item holds the others back; none overtakes."""

    def work(item):
        time.sleep(0.02 if item % 7 == 0 else 0)
        return item

    with ThreadPoolExecutor(8) as pool:
        assert list(in_order(pool, work, range(60), ahead=16)) == list(range(60))


@pytest.mark.parametrize(("count", "shapes"), [(0, []), (3, [3]), (4, [4]), (9, [4, 4, 1])])
def test_arrays_are_stacked_by_size(count, shapes):
    """Full batches, then what is left, nothing empty."""
    arrays = [np.full((2, 2, 3), number, dtype=np.uint8) for number in range(count)]
    batches = list(stacked(arrays, 4))
    assert [len(batch) for batch in batches] == shapes
    flat = [int(image[0, 0, 0]) for batch in batches for image in batch]
    assert flat == list(range(count))


SCRIPT = textwrap.dedent(
    """
    import pathlib, sys, time
    import numpy as np
    from tests.features.test_extraction import MeanEngine, features_of
    from headstart.files import file_sha256
    folder, cache, out, pause = sys.argv[1:]
    files = sorted(pathlib.Path(folder).glob("*.png"), key=lambda path: int(path.stem))
    files = [(str(path), file_sha256(path)) for path in files]
    warnings = []
    engine = MeanEngine(pause=float(pause))
    print("ready", flush=True)
    sys.stdin.readline()
    found, _ = features_of(files, pathlib.Path(cache), engine, warn=warnings.append)
    np.save(out, found)
    print(warnings)
    """
)


def start(files, cache, out, pause):
    """Start a process that extracts, and wait until it is about to."""
    folder = str(Path(files[0][0]).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, folder, str(cache), str(out), str(pause)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout.readline() == "ready\n"
    return process


def go(process):
    """Let a started process extract."""
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("pause", [0.0, 0.02])
def test_processes_that_extract_at_once(files, cache, tmp_path, pause):
    """Three processes on one new store all get the same features, and none finds damage."""
    outs = [tmp_path / f"{number}.npy" for number in range(3)]
    processes = [start(files, cache, out, pause) for out in outs]
    for process in processes:
        go(process)
    for process in processes:
        told, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert told == "[]\n"
    expected, _ = features_of(files, cache.with_name("other"), MeanEngine())
    for out in outs:
        np.testing.assert_array_equal(np.load(out), expected)
    np.testing.assert_array_equal(features_of(files, cache, no_engine)[0], expected)


def test_a_killed_process_loses_little(files, cache, tmp_path):
    """After kill -9 in the middle, the next run computes only what is missing, and no damage."""
    process = start(files, cache, tmp_path / "out.npy", 0.5)
    go(process)
    table = FeatureStore(cache).table(FINGERPRINT)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not table.known():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    kept = len(table.known())
    assert 8 <= kept < 20
    engine, warnings = MeanEngine(), []
    found, _ = features_of(files, cache, engine, warn=warnings.append)
    assert engine.images == 20 - kept
    assert warnings == []
    expected, _ = features_of(files, cache.with_name("other"), MeanEngine())
    np.testing.assert_array_equal(found, expected)
