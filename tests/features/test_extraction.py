"""Features of files are extracted through the store, in order, despite interruptions."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from headstart.data.preprocessing import Preprocess
from headstart.errors import DataError, StoreError, UnreadableImage
from headstart.features import store
from headstart.features.batches import stack_batches
from headstart.features.extraction import extract, stored_features
from headstart.features.fingerprint import Fingerprint
from headstart.features.store import FeatureStore
from headstart.files import file_sha256
from headstart.threads import map_in_order
from tests.conftest import picture
from tests.processes import PROCESSES

WIDTH = 12
PREPROCESS = Preprocess(8)
FINGERPRINT = Fingerprint("mean", "none", (("output", WIDTH),), PREPROCESS, "bf16")


class MeanEngine:
    """An engine that averages pixels: fast, and different for every image."""

    name, precision, batch_size = "mean", "bf16", 4

    def __init__(self, factor=1.0, pause=0.0):
        self.factor, self.pause, self.images = factor, pause, 0

    def run(self, batches):
        """Yield the mean of each quarter and colour."""
        for batch in batches:
            self.images += len(batch)
            time.sleep(self.pause)
            quarters = batch.reshape(len(batch), 4, -1, 3).mean(axis=2)
            yield quarters.reshape(len(batch), WIDTH).astype(np.float32) * self.factor


def no_engine():
    """Fail if an engine is created."""
    raise AssertionError("the engine was built")


@pytest.fixture
def files(tmp_path):
    """Write twenty small pictures, and return the path and sha256 of each."""
    files = []
    for number in range(20):
        path = tmp_path / f"{number}.png"
        picture(number, side=16).save(path)
        files.append((str(path), file_sha256(path)))
    return files


@pytest.fixture
def cache(tmp_path):
    """Return the folder of a store."""
    return tmp_path / "features"


def features_of(files, folder, engine, *, warn=None, **options):
    """Return the features of files through a store, with a commit after every eight images."""

    def extract_missing(missing, table):
        used = engine() if callable(engine) else engine
        extract(missing, table, used, PREPROCESS, commit_every=8, **options)

    return stored_features(
        files,
        store=FeatureStore(folder),
        fingerprint=FINGERPRINT,
        extract_missing=extract_missing,
        warn=warn,
    )


def test_features_are_in_the_order_of_the_files(files, cache):
    """Each row belongs to its file, even if a file is listed twice."""
    found, kind = features_of([*files, files[3]], cache, MeanEngine())
    assert found.shape == (21, WIDTH)
    assert kind == "float16"
    single, _ = features_of(files[3:4], cache.with_name("other"), MeanEngine())
    np.testing.assert_array_equal(found[[3, 20]], np.repeat(single, 2, axis=0))
    assert len(np.unique(found, axis=0)) == 20


def test_stored_features_need_no_engine(files, cache):
    """Stored features are not computed again."""
    first, _ = features_of(files, cache, MeanEngine())
    again, _ = features_of(files[::-1], cache, no_engine)
    np.testing.assert_array_equal(again, first[::-1])


def test_only_missing_features_are_computed(files, cache):
    """Only new files are extracted."""
    features_of(files[:15], cache, MeanEngine())
    engine = MeanEngine()
    features_of(files, cache, engine)
    assert engine.images == 5


def test_copies_of_one_image_are_computed_once(files, cache, tmp_path):
    """Files with the same content are the same image."""
    copy = tmp_path / "copy.png"
    shutil.copy(files[0][0], copy)
    engine = MeanEngine()
    found, _ = features_of([files[0], (str(copy), files[0][1])], cache, engine)
    assert engine.images == 1
    np.testing.assert_array_equal(found[0], found[1])


def test_no_files_have_no_features(cache):
    """The features of an empty list are an empty array, without a warning."""
    warnings = []
    found, _ = features_of([], cache, MeanEngine(), warn=warnings.append)
    assert found.shape == (0, WIDTH)
    assert warnings == []


def test_progress_reaches_the_end(files, cache):
    """Progress never decreases, and ends with all images."""
    seen = []
    features_of(files, cache, MeanEngine(), progress=lambda *step: seen.append(step))
    assert seen == sorted(seen)
    assert seen[-1] == (20, 20)


def test_features_beyond_half_precision_are_stored_in_float32(files, cache):
    """If a feature exceeds half precision, all are computed again and stored in float32."""
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
    for position in range(0, len(content), 16):
        content[position] ^= 0x55
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
def test_a_damaged_store_is_reported_and_recomputed(files, cache, damage):
    """After any kind of damage, there is one warning and the features are the same."""
    first, _ = features_of(files, cache, MeanEngine())
    damage(next(cache.iterdir()))
    warnings = []
    again, _ = features_of(files, cache, MeanEngine(), warn=warnings.append)
    np.testing.assert_array_equal(again, first)
    assert len(warnings) == 1
    assert warnings[0].startswith("The feature store was damaged (")
    assert warnings[0].endswith("); its features are recomputed.")
    np.testing.assert_array_equal(features_of(files, cache, no_engine)[0], first)


def test_a_temporary_error_does_not_delete_the_store(files, cache, monkeypatch):
    """Too many open files or a missing permission is not damage, so nothing is deleted."""
    first, _ = features_of(files, cache, MeanEngine())
    with monkeypatch.context() as patch:

        def refused(*_, **__):
            raise OSError("LanceError(IO): Permission denied (os error 13)")

        patch.setattr(store.lance, "dataset", refused)
        with pytest.raises(StoreError, match="Permission denied"):
            features_of(files, cache, MeanEngine())
    np.testing.assert_array_equal(features_of(files, cache, no_engine)[0], first)


def test_repeated_damage_is_an_error(files, cache, monkeypatch):
    """If damage occurs after each repair, there is an error instead of an endless loop."""

    def damaged(*_):
        raise store.DamagedTable("bad sector")

    monkeypatch.setattr(store.FeatureTable, "read", damaged)
    warnings = []
    with pytest.raises(DataError) as caught:
        features_of(files, cache, MeanEngine(), warn=warnings.append)
    assert str(caught.value) == ("The feature store was damaged repeatedly. Check the disk.")
    assert len(warnings) == 3


def test_a_file_that_changed_since_the_scan(files, cache):
    """A file whose content no longer matches its hash is named."""
    picture(99, side=16).save(files[6][0])
    with pytest.raises(DataError) as caught:
        features_of(files, cache, MeanEngine())
    assert str(caught.value) == f"'{files[6][0]}' changed while it was being read. Run again."


def test_a_deleted_file(files, cache):
    """A file that was deleted since the scan is named."""
    Path(files[6][0]).unlink()
    with pytest.raises(UnreadableImage) as caught:
        features_of(files, cache, MeanEngine())
    assert str(caught.value) == f"Cannot read image '{files[6][0]}': the file does not exist."


def test_features_committed_before_an_error_are_kept(files, cache):
    """After an error at the last file, the next run computes only the rest."""
    good = files[-1]
    bad = (good[0], "0" * 64)
    with pytest.raises(DataError):
        features_of([*files[:-1], bad], cache, MeanEngine())
    engine = MeanEngine()
    features_of(files, cache, engine)
    assert 0 < engine.images < 20


def test_a_full_disk_keeps_earlier_batches(files, cache, monkeypatch):
    """A failed write is a store error, and the next run continues from there."""
    write, table = store.lance.write_dataset, FeatureStore(cache).table(FINGERPRINT)

    def filling(*arguments, **keywords):
        if len(table.known()) >= 8:
            raise OSError("No space left on device")
        return write(*arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(store.lance, "write_dataset", filling)
        with pytest.raises(StoreError, match=r"No space left on device\. Features stored so far"):
            features_of(files, cache, MeanEngine())
    engine = MeanEngine()
    found, _ = features_of(files, cache, engine)
    assert engine.images == 12
    expected, _ = features_of(files, cache.with_name("other"), MeanEngine())
    np.testing.assert_array_equal(found, expected)


def test_work_ahead_is_bounded():
    """The number of pending results is limited, even if the consumer is slow."""
    started, lock = [], threading.Lock()

    def work(item):
        with lock:
            started.append(item)
        return item

    with ThreadPoolExecutor(4) as pool:
        results = map_in_order(pool, work, range(1000), ahead=10)
        for expected in range(50):
            assert next(results) == expected
            time.sleep(0.001)
            assert len(started) <= expected + 1 + 10
        results.close()


def test_items_are_consumed_lazily():
    """The files are read from the iterable only when needed."""
    drawn = []

    def items():
        for number in range(1000):
            drawn.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        results = map_in_order(pool, lambda item: item, items(), ahead=5)
        next(results)
        assert len(drawn) == 6
        assert list(results) == list(range(1, 1000))


def test_order_is_kept_if_items_differ_in_speed():
    """Results are in the order of the items, even if some are slow."""

    def work(item):
        time.sleep(0.02 if item % 7 == 0 else 0)
        return item

    with ThreadPoolExecutor(8) as pool:
        assert list(map_in_order(pool, work, range(60), ahead=16)) == list(range(60))


@pytest.mark.parametrize(("count", "shapes"), [(0, []), (3, [3]), (4, [4]), (9, [4, 4, 1])])
def test_arrays_are_stacked_by_size(count, shapes):
    """Full batches come first, then the rest, and no batch is empty."""
    arrays = [np.full((2, 2, 3), number, dtype=np.uint8) for number in range(count)]
    batches = list(stack_batches(arrays, 4))
    assert [len(batch) for batch in batches] == shapes
    flat = [int(image[0, 0, 0]) for batch in batches for image in batch]
    assert flat == list(range(count))


def extract_in_process(files, cache, begin, found):
    """Extract features as soon as other processes do, and send them with the warnings."""
    warnings = []
    begin.wait()
    features, _ = features_of(files, cache, MeanEngine(pause=0.02), warn=warnings.append)
    found.send((features, warnings))


def test_processes_that_extract_at_once(files, cache):
    """Three processes that share a new store get the same features and find no damage."""
    begin = PROCESSES.Barrier(3)
    ends = [PROCESSES.Pipe(duplex=False) for _ in range(3)]
    for _, found in ends:
        arguments = (files, cache, begin, found)
        PROCESSES.Process(target=extract_in_process, args=arguments).start()
    expected, _ = features_of(files, cache.with_name("other"), MeanEngine())
    for received, _ in ends:
        assert received.poll(60)
        features, warnings = received.recv()
        np.testing.assert_array_equal(features, expected)
        assert warnings == []
    np.testing.assert_array_equal(features_of(files, cache, no_engine)[0], expected)


def test_a_killed_process_loses_little(files, cache):
    """After kill -9, the next run finds no damage and computes only missing features."""
    process = PROCESSES.Process(target=features_of, args=(files, cache, MeanEngine(pause=0.5)))
    process.start()
    table = FeatureStore(cache).table(FINGERPRINT)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not table.known():
        time.sleep(0.02)
    process.kill()
    process.join(30)
    kept = len(table.known())
    assert 8 <= kept < 20
    engine, warnings = MeanEngine(), []
    found, _ = features_of(files, cache, engine, warn=warnings.append)
    assert engine.images == 20 - kept
    assert warnings == []
    expected, _ = features_of(files, cache.with_name("other"), MeanEngine())
    np.testing.assert_array_equal(found, expected)
