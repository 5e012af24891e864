"""The feature store returns exactly the features that were stored, or reports damage."""

import errno
import os
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import lance
import numpy as np
import pytest

from headstart.data.preprocessing import Preprocess
from headstart.errors import StoreError
from headstart.features.fingerprint import Fingerprint
from headstart.features.rounding import as_stored
from headstart.features.store import DamagedTable, FeatureStore, HalfRangeExceeded

WIDTH = 6


def fingerprint(precision="bf16", width=WIDTH):
    """Return a fingerprint of features with the given width."""
    return Fingerprint("net", "weights", (("output", width),), Preprocess(64), precision)


def random_features(count, seed=0, width=WIDTH):
    """Return names and random features."""
    features = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return [f"{seed}-{number}" for number in range(count)], features


@pytest.fixture
def folder(tmp_path):
    """Return the folder of a store."""
    return tmp_path / "features"


@pytest.fixture
def filled(folder):
    """Return a table with twenty rows from four commits, and their names and features."""
    table = FeatureStore(folder).table(fingerprint())
    names, features = random_features(20)
    for start in range(0, 20, 5):
        table.append(names[start : start + 5], features[start : start + 5])
    return table, names, as_stored(features, "float16")


def test_a_new_table_is_empty(folder):
    """Before features are stored, no image is known and no folder exists."""
    assert FeatureStore(folder).table(fingerprint()).known() == set()
    assert not folder.exists()


def test_features_are_returned_in_the_given_order(filled):
    """Images may be in any order, a subset, or repeated."""
    table, names, features = filled
    assert table.known() == set(names)
    for order in (range(20), [19, 3, 3, 0], [7]):
        found = table.read([names[number] for number in order])
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, features[list(order)])


def test_an_image_that_was_added_twice_is_read_once(filled):
    """If two processes add an image, either row may be returned."""
    table, names, features = filled
    table.append(names[:2], features[:2])
    np.testing.assert_array_equal(table.read(names), features)


def test_half_precision_rounds_and_float32_does_not(folder):
    """Features in bf16 are stored in half precision, those in float32 unchanged."""
    names, features = random_features(4)
    for precision, kind in (("bf16", "float16"), ("float32", "float32")):
        table = FeatureStore(folder).table(fingerprint(precision))
        table.append(names, features)
        assert table.kind == kind
        np.testing.assert_array_equal(table.read(names), features.astype(kind))


@pytest.mark.parametrize("value", [65505.0, -7e4, 1e30])
def test_a_value_beyond_half_precision_is_refused(folder, value):
    """If a value exceeds 65,504, nothing of the batch is stored."""
    names, features = random_features(3)
    features[1, 2] = value
    table = FeatureStore(folder).table(fingerprint())
    with pytest.raises(HalfRangeExceeded):
        table.append(names, features)
    assert table.known() == set()


def test_the_largest_half_precision_value_is_stored(folder):
    """65,504 is within the range."""
    table = FeatureStore(folder).table(fingerprint())
    table.append(["a"], np.full((1, WIDTH), 65504, dtype=np.float32))
    assert table.read(["a"]).max() == 65504


def test_a_wide_table_is_found_again(folder):
    """If there is a float32 table for a fingerprint, it is used."""
    names, features = random_features(3)
    FeatureStore(folder).wide_table(fingerprint()).append(names, features * 1e6)
    table = FeatureStore(folder).table(fingerprint())
    assert table.kind == "float32"
    np.testing.assert_array_equal(table.read(names), features * np.float32(1e6))


def test_a_new_image_is_rounded_like_a_stored_one():
    """`as_stored` rounds to the store's precision and returns float32."""
    _, features = random_features(5)
    rounded = as_stored(features, "float16")
    assert rounded.dtype == np.float32
    np.testing.assert_array_equal(rounded, features.astype(np.float16))
    np.testing.assert_array_equal(as_stored(features, "float32"), features)


def test_a_new_image_beyond_half_precision_stays_finite():
    """A value beyond the range of half precision does not become infinite."""
    assert np.isfinite(as_stored(np.array([[1e5, -1e5, 1.0]], dtype=np.float32), "float16")).all()


def data_files(table):
    """Return the data files of a table."""
    return sorted(table.path.rglob("*.lance"))


@pytest.mark.parametrize("part", range(24))
def test_a_flipped_byte_is_never_read_as_a_feature(filled, part):
    """After any changed byte there are correct features, fewer images, or an error."""
    table, names, features = filled
    file = data_files(table)[1]
    content = bytearray(file.read_bytes())
    content[(len(content) - 1) * part // 23] ^= 0xFF
    file.write_bytes(content)
    try:
        kept = [number for number, name in enumerate(names) if name in table.known()]
        found = table.read([names[number] for number in kept])
    except DamagedTable:
        return
    np.testing.assert_array_equal(found, features[kept])


def test_changed_features_are_detected(filled):
    """The checksum of a row detects a changed value."""
    table, names, features = filled
    row = features[7].astype(np.float16).tobytes()
    for file in data_files(table):
        content = file.read_bytes()
        if row in content:
            file.write_bytes(content.replace(row, row[::-1]))
    with pytest.raises(DamagedTable, match="a stored feature differs from what was written"):
        table.read(names)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_detected(filled, share):
    """A truncated data file is damage."""
    table, names, _ = filled
    file = data_files(table)[2]
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with pytest.raises(DamagedTable):
        table.read(names)


@pytest.mark.parametrize("missing", ["data", "_versions"])
def test_a_deleted_folder_is_detected(filled, missing):
    """Missing rows or manifests are damage."""
    table, names, _ = filled
    shutil.rmtree(table.path / missing)
    with pytest.raises(DamagedTable):
        table.known()
        table.read(names)


def test_a_discarded_table_can_be_filled_again(filled):
    """After `discard`, no image is known and features can be stored again."""
    table, names, features = filled
    table.discard()
    assert table.known() == set()
    table.append(names, features)
    np.testing.assert_array_equal(table.read(names), features)


def test_a_table_rewritten_during_a_read_returns_no_wrong_rows(filled, monkeypatch):
    """If another process rewrites the table, no image gets the features of another image."""
    table, names, features = filled
    find = lance.LanceDataset.to_table

    def find_then_rewrite(dataset, *arguments, **options):
        rows = find(dataset, *arguments, **options)
        monkeypatch.setattr(lance.LanceDataset, "to_table", find)
        table.discard()
        table.append(names[::-1], features[::-1])
        return rows

    monkeypatch.setattr(lance.LanceDataset, "to_table", find_then_rewrite)
    try:
        found = table.read(names)
    except DamagedTable:
        return
    np.testing.assert_array_equal(found, features)


def test_compacting_merges_fragments_and_keeps_rows(folder):
    """Many small commits become few fragments with the same features."""
    table = FeatureStore(folder).table(fingerprint())
    names, features = random_features(10)
    for number, name in enumerate(names):
        table.append([name], features[number : number + 1])
    table.compact(fragments=3)
    assert len(lance.dataset(str(table.path)).get_fragments()) == 1
    np.testing.assert_array_equal(table.read(names), as_stored(features, "float16"))


def test_a_few_images_of_a_large_table_are_found_by_an_index(folder, monkeypatch):
    """Compaction indexes the hashes; rows that come later and copies are found too."""
    monkeypatch.setattr("headstart.features.store._INDEXED_ROWS", 10)
    monkeypatch.setattr("headstart.features.store._FEW", 0.5)
    table = FeatureStore(folder).table(fingerprint())
    names, features = random_features(24)
    stored = as_stored(features, "float16")
    for begin in range(0, 20, 2):
        table.append(names[begin : begin + 2], features[begin : begin + 2])
    for rows in ([3, 17, 3], [22, 5]):
        table.compact(fragments=1)
        assert len(lance.dataset(str(table.path)).describe_indices()) == 1
        if 22 in rows:
            table.append(names[20:] + names[:2], np.concatenate([features[20:], features[:2]]))
        np.testing.assert_array_equal(table.read([names[row] for row in rows]), stored[rows])
    assert table.missing([names[1], "new", names[23]]) == {"new"}
    FeatureStore(folder).forget([names[3]])
    assert table.missing(names) == {names[3]}
    assert not lance.dataset(str(table.path)).describe_indices()


def test_blocks_have_each_image_once_with_its_place(filled, monkeypatch):
    """Blocks are small, in the order of the table, and repeat images that are asked for twice."""
    monkeypatch.setattr("headstart.features.store._BLOCK", 4)
    table, names, features = filled
    wanted = [7, 2, 19, 7, 0, 11]
    found = np.zeros((len(wanted), WIDTH), np.float32)
    sizes = []
    for places, block in table.blocks([names[row] for row in wanted]):
        found[places] = block
        sizes.append(len(block))
    assert sizes == [4, 2]
    np.testing.assert_array_equal(found, features[wanted])
    with pytest.raises(DamagedTable):
        table.read(["unknown"])


@pytest.mark.parametrize(
    "failure",
    [
        OSError("LanceError(IO): No space left on device (os error 28)"),
        OSError("Retryable commit conflict for version 5: preempted by concurrent Rewrite"),
    ],
)
def test_failed_compacting_does_no_damage(filled, monkeypatch, failure):
    """If a full disk or another process's commit stops it, the features are unchanged."""

    class Failing:
        def compact_files(self, **_):
            raise failure

    table, names, features = filled
    monkeypatch.setattr(lance.LanceDataset, "optimize", property(lambda _: Failing()))
    table.compact(fragments=1)
    np.testing.assert_array_equal(table.read(names), features)


def test_a_full_disk_is_a_store_error_and_earlier_batches_are_kept(filled, monkeypatch):
    """The error says what is wrong and what to do."""
    table, names, features = filled

    def full(*_, **__):
        raise OSError("No space left on device (os error 28)")

    monkeypatch.setattr(lance, "write_dataset", full)
    with pytest.raises(StoreError) as caught:
        table.append(*random_features(3, seed=1))
    assert str(caught.value) == (
        f"The feature store at '{table.path.parent}' cannot be written: "
        "No space left on device (os error 28). Features stored so far are kept. "
        "Free some space, or choose another folder with --cache."
    )
    np.testing.assert_array_equal(table.read(names), features)


def test_a_race_to_create_a_table_is_retried(folder, monkeypatch):
    """If another process created the table first, rows are appended to it."""
    write, failures = lance.write_dataset, [OSError("Dataset already exists: x")]

    def racing(*arguments, **keywords):
        if failures:
            raise failures.pop()
        return write(*arguments, **keywords)

    monkeypatch.setattr(lance, "write_dataset", racing)
    table = FeatureStore(folder).table(fingerprint())
    table.append(*random_features(3))
    assert len(table.known()) == 3


def test_writers_that_create_a_table_at_once(folder):
    """Four writers create a table at the same time, thirty times; none fails, no row is lost."""
    for trial in range(30):
        path = folder / str(trial)
        together = threading.Barrier(4)

        def write(seed, path=path, together=together):
            table = FeatureStore(path).table(fingerprint())
            names, features = random_features(4, seed=seed)
            together.wait()
            for number, name in enumerate(names):
                table.append([name], features[number : number + 1])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        expected = {name for seed in range(4) for name in random_features(4, seed=seed)[0]}
        assert FeatureStore(path).table(fingerprint()).known() == expected


def test_reading_a_table_that_is_being_created_finds_no_damage(folder):
    """While another thread writes the first rows, a reader sees all of them or none."""
    for trial in range(30):
        table = FeatureStore(folder / str(trial)).table(fingerprint())
        names, features = random_features(4)
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(table.append, names, features)
            while not writing.done():
                assert table.known() in (set(), set(names))


def test_a_folder_that_cannot_be_created_is_a_store_error(tmp_path):
    """A file in place of the store's folder is reported."""
    (tmp_path / "file").write_text("in the way")
    table = FeatureStore(tmp_path / "file" / "features").table(fingerprint())
    with pytest.raises(StoreError, match=r"cannot be written: .*Not a directory"):
        table.append(*random_features(1))


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of 256 KiB, or skip the test."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("cannot mount a small disk here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_really_full_disk(small_disk):
    """On a disk that fills up, each batch is stored completely or not at all."""
    width = 1024
    table = FeatureStore(small_disk).table(fingerprint(width=width))
    stored = {}
    with pytest.raises(StoreError) as caught:
        for seed in range(100):
            names, features = random_features(8, seed=seed, width=width)
            table.append(names, features)
            stored |= dict(zip(names, as_stored(features, "float16"), strict=True))
    assert os.strerror(errno.ENOSPC) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ".rs:" not in str(caught.value), "positions in Rust files do not help the user"
    assert table.known() == set(stored)
    assert len(stored) >= 16
    np.testing.assert_array_equal(table.read(list(stored)), np.stack(list(stored.values())))


def test_tables_are_summarised(filled, folder):
    """A summary has the values of the fingerprint, the number of images and the bytes."""
    (info,) = FeatureStore(folder).infos()
    assert info.about == fingerprint().to_dict()
    assert info.images == 20
    assert info.bytes == sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_a_damaged_table_is_summarised_too(filled, folder):
    """A table that cannot be read is listed as damaged, with its bytes."""
    table, _, _ = filled
    shutil.rmtree(table.path / "_versions")
    (info,) = FeatureStore(folder).infos()
    assert info.about == {"architecture": "damaged"}
    assert info.images == 0
    assert info.bytes > 0


def test_an_empty_store_has_no_tables(folder):
    """A folder that does not exist has no tables."""
    assert FeatureStore(folder).infos() == []
