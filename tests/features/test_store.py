"""The feature store gives back what was put in, or says that it is damaged; never anything else."""

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
    """Give a fingerprint of features of a width."""
    return Fingerprint("net", "weights", (("output", width),), Preprocess(64), precision)


def some(count, seed=0, width=WIDTH):
    """Give names and features."""
    features = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return [f"{seed}-{number}" for number in range(count)], features


@pytest.fixture
def folder(tmp_path):
    """Give the folder of a store."""
    return tmp_path / "features"


@pytest.fixture
def filled(folder):
    """Give a table with twenty rows in four commits, their names and their features."""
    table = FeatureStore(folder).table(fingerprint())
    names, features = some(20)
    for start in range(0, 20, 5):
        table.append(names[start : start + 5], features[start : start + 5])
    return table, names, as_stored(features, "float16")


def test_a_new_table_knows_nothing(folder):
    """Before anything is stored no image is known, and no folder is made."""
    assert FeatureStore(folder).table(fingerprint()).known() == set()
    assert not folder.exists()


def test_what_is_stored_comes_back_in_the_order_asked_for(filled):
    """Any order, any part, and the same image twice."""
    table, names, features = filled
    assert table.known() == set(names)
    for order in (range(20), [19, 3, 3, 0], [7]):
        found = table.read([names[number] for number in order])
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, features[list(order)])


def test_an_image_that_was_added_twice_is_read_once(filled):
    """Two processes may add one image; either's features are given."""
    table, names, features = filled
    table.append(names[:2], features[:2])
    np.testing.assert_array_equal(table.read(names), features)


def test_half_precision_rounds_and_float32_does_not(folder):
    """bf16 features are kept in half precision, float32 ones as they are."""
    names, features = some(4)
    for precision, kind in (("bf16", "float16"), ("float32", "float32")):
        table = FeatureStore(folder).table(fingerprint(precision))
        table.append(names, features)
        assert table.kind == kind
        np.testing.assert_array_equal(table.read(names), features.astype(kind))


@pytest.mark.parametrize("value", [65505.0, -7e4, 1e30])
def test_a_value_beyond_half_precision_is_refused(folder, value):
    """Nothing of the batch is stored when one value is above 65,504."""
    names, features = some(3)
    features[1, 2] = value
    table = FeatureStore(folder).table(fingerprint())
    with pytest.raises(HalfRangeExceeded):
        table.append(names, features)
    assert table.known() == set()


def test_the_largest_half_is_kept(folder):
    """65,504 itself is not beyond the range."""
    table = FeatureStore(folder).table(fingerprint())
    table.append(["a"], np.full((1, WIDTH), 65504, dtype=np.float32))
    assert table.read(["a"]).max() == 65504


def test_a_wide_table_is_found_again(folder):
    """Once features went into float32, the fingerprint's table is that one."""
    names, features = some(3)
    FeatureStore(folder).wide_table(fingerprint()).append(names, features * 1e6)
    table = FeatureStore(folder).table(fingerprint())
    assert table.kind == "float32"
    np.testing.assert_array_equal(table.read(names), features * np.float32(1e6))


def test_a_new_image_is_rounded_like_a_stored_one():
    """`as_stored` rounds to the store's precision and gives float32."""
    _, features = some(5)
    rounded = as_stored(features, "float16")
    assert rounded.dtype == np.float32
    np.testing.assert_array_equal(rounded, features.astype(np.float16))
    np.testing.assert_array_equal(as_stored(features, "float32"), features)


def test_a_new_image_beyond_half_precision_stays_finite():
    """Where training stayed within the range, a larger new value becomes no infinity."""
    assert np.isfinite(as_stored(np.array([[1e5, -1e5, 1.0]], dtype=np.float32), "float16")).all()


def data_files(table):
    """Give the files that hold a table's rows."""
    return sorted(table.path.rglob("*.lance"))


@pytest.mark.parametrize("part", range(24))
def test_a_flipped_byte_is_never_read_as_a_feature(filled, part):
    """Wherever a byte of a data file changes: the right features, fewer images, or an error."""
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


def test_features_that_changed_are_noticed(filled):
    """The checksum of a row finds a change of a stored number."""
    table, names, features = filled
    row = features[7].astype(np.float16).tobytes()
    for file in data_files(table):
        content = file.read_bytes()
        if row in content:
            file.write_bytes(content.replace(row, row[::-1]))
    with pytest.raises(DamagedTable, match="a stored feature differs from what was written"):
        table.read(names)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_noticed(filled, share):
    """A data file that ends too early is damage."""
    table, names, _ = filled
    file = data_files(table)[2]
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with pytest.raises(DamagedTable):
        table.read(names)


@pytest.mark.parametrize("missing", ["data", "_versions"])
def test_a_deleted_folder_is_noticed(filled, missing):
    """Rows or manifests that are gone are damage."""
    table, names, _ = filled
    shutil.rmtree(table.path / missing)
    with pytest.raises(DamagedTable):
        table.known()
        table.read(names)


def test_a_discarded_table_starts_anew(filled):
    """After `discard` nothing is known and everything can be stored again."""
    table, names, features = filled
    table.discard()
    assert table.known() == set()
    table.append(names, features)
    np.testing.assert_array_equal(table.read(names), features)


def test_a_table_rewritten_during_a_read_gives_no_wrong_rows(filled, monkeypatch):
    """If another process writes the table anew in between, no image gets another one's features."""
    table, names, features = filled
    find = lance.LanceDataset.to_table

    def find_and_be_overtaken(dataset, *given, **options):
        rows = find(dataset, *given, **options)
        monkeypatch.setattr(lance.LanceDataset, "to_table", find)
        table.discard()
        table.append(names[::-1], features[::-1])
        return rows

    monkeypatch.setattr(lance.LanceDataset, "to_table", find_and_be_overtaken)
    try:
        found = table.read(names)
    except DamagedTable:
        return
    np.testing.assert_array_equal(found, features)


def test_compacting_joins_pieces_and_keeps_rows(folder):
    """Many small commits become few pieces with the same features."""
    table = FeatureStore(folder).table(fingerprint())
    names, features = some(10)
    for number, name in enumerate(names):
        table.append([name], features[number : number + 1])
    table.compact(fragments=3)
    assert len(lance.dataset(str(table.path)).get_fragments()) == 1
    np.testing.assert_array_equal(table.read(names), as_stored(features, "float16"))


@pytest.mark.parametrize(
    "failure",
    [
        OSError("LanceError(IO): No space left on device (os error 28)"),
        OSError("Retryable commit conflict for version 5: preempted by concurrent Rewrite"),
    ],
)
def test_compacting_that_fails_is_no_damage(filled, monkeypatch, failure):
    """A full disk or another process's commit stops it; the features stay."""

    class Failing:
        def compact_files(self):
            raise failure

    table, names, features = filled
    monkeypatch.setattr(lance.LanceDataset, "optimize", property(lambda _: Failing()))
    table.compact(fragments=1)
    np.testing.assert_array_equal(table.read(names), features)


def test_a_full_disk_is_a_store_error_and_earlier_batches_stay(filled, monkeypatch):
    """The error says what is wrong and what to do."""
    table, names, features = filled

    def full(*_, **__):
        raise OSError("No space left on device (os error 28)")

    monkeypatch.setattr(lance, "write_dataset", full)
    with pytest.raises(StoreError) as caught:
        table.append(*some(3, seed=1))
    assert str(caught.value) == (
        f"The feature store at '{table.path.parent}' cannot be written: "
        "No space left on device (os error 28). What was computed before is kept. "
        "Free some space, or choose another folder with --cache."
    )
    np.testing.assert_array_equal(table.read(names), features)


def test_a_race_of_two_creators_is_tried_again(folder, monkeypatch):
    """A table that another process created first is appended to."""
    write, failures = lance.write_dataset, [OSError("Dataset already exists: x")]

    def racing(*arguments, **keywords):
        if failures:
            raise failures.pop()
        return write(*arguments, **keywords)

    monkeypatch.setattr(lance, "write_dataset", racing)
    table = FeatureStore(folder).table(fingerprint())
    table.append(*some(3))
    assert len(table.known()) == 3


def test_writers_that_create_a_table_at_once(folder):
    """Four writers start one new table together, thirty times: none fails, no row is lost."""
    for trial in range(30):
        path = folder / str(trial)
        together = threading.Barrier(4)

        def write(seed, path=path, together=together):
            table = FeatureStore(path).table(fingerprint())
            names, features = some(4, seed=seed)
            together.wait()
            for number, name in enumerate(names):
                table.append([name], features[number : number + 1])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        expected = {name for seed in range(4) for name in some(4, seed=seed)[0]}
        assert FeatureStore(path).table(fingerprint()).known() == expected


def test_a_reader_of_a_table_that_is_being_created_finds_no_damage(folder):
    """Whoever looks while another process writes the first rows sees some of them or none."""
    for trial in range(30):
        table = FeatureStore(folder / str(trial)).table(fingerprint())
        names, features = some(4)
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(table.append, names, features)
            while not writing.done():
                assert table.known() in (set(), set(names))


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path):
    """A file in the place of the store's folder is told."""
    (tmp_path / "file").write_text("in the way")
    table = FeatureStore(tmp_path / "file" / "features").table(fingerprint())
    with pytest.raises(StoreError, match=r"cannot be written: .*Not a directory"):
        table.append(*some(1))


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of 256 KiB, or skip."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("cannot mount a small disk here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_really_full_disk(small_disk):
    """On a disk that fills up, each batch is stored wholly or not at all, and one error says so."""
    width = 1024
    table = FeatureStore(small_disk).table(fingerprint(width=width))
    stored = {}
    with pytest.raises(StoreError) as caught:
        for seed in range(100):
            names, features = some(8, seed=seed, width=width)
            table.append(names, features)
            stored |= dict(zip(names, as_stored(features, "float16"), strict=True))
    assert os.strerror(errno.ENOSPC) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ".rs:" not in str(caught.value), "the line of a Rust file tells the user nothing"
    assert table.known() == set(stored)
    assert len(stored) >= 16
    np.testing.assert_array_equal(table.read(list(stored)), np.stack(list(stored.values())))


def test_what_the_store_holds_is_told(filled, folder):
    """A table is told with its fingerprint's parts, images and bytes."""
    (info,) = FeatureStore(folder).infos()
    assert info.about == fingerprint().to_dict()
    assert info.images == 20
    assert info.bytes == sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_a_damaged_table_is_told_too(filled, folder):
    """A table that cannot be read is listed as damaged, with its bytes."""
    table, _, _ = filled
    shutil.rmtree(table.path / "_versions")
    (info,) = FeatureStore(folder).infos()
    assert info.about == {"architecture": "damaged"}
    assert info.images == 0
    assert info.bytes > 0


def test_an_empty_store_holds_nothing(folder):
    """A folder that does not exist has no tables."""
    assert FeatureStore(folder).infos() == []
