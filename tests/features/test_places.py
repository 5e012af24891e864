"""The feature store in an object store: a real server that speaks S3, on the loopback interface."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from headstart.errors import StoreError
from headstart.features.store import DamagedTable, FeatureStore
from tests.features.test_store import fingerprint, random_features


@pytest.fixture
def filled(bucket):
    """Fill a table in three commits."""
    table = FeatureStore(f"{bucket.url}/features").table(fingerprint())
    names, features = random_features(12)
    for begin in range(0, 12, 4):
        table.append(names[begin : begin + 4], features[begin : begin + 4])
    return table, names, features.astype(np.float16).astype(np.float32)


def test_what_is_stored_is_read_back(filled, bucket):
    """By another process, too; it is listed, and can be deleted."""
    table, names, features = filled
    store = FeatureStore(f"{bucket.url}/features")
    copy = pickle.loads(pickle.dumps(table))
    assert copy.known() == set(names)
    np.testing.assert_array_equal(copy.read(names[::-1]), features[::-1])
    (info,) = store.infos()
    assert (info.images, info.bytes > 0) == (12, True)
    store.forget(names[:2])
    assert copy.known() == set(names[2:])
    table.discard()
    assert not any(key.endswith((".lance", ".manifest")) for key in bucket.names())
    assert copy.known() == set() and store.infos() == []


def test_workers_write_and_another_process_commits(filled):
    """Nothing is part of the table before; a further commit adds to it."""
    table, names, _ = filled
    more, features = random_features(6, seed=1)
    worker = pickle.loads(pickle.dumps(table))
    written = [worker.write_fragments([one], features[[n]]) for n, one in enumerate(more)]
    assert table.known() == set(names)
    table.commit([fragment for fragments in written for fragment in fragments])
    assert table.known() == {*names, *more}


def test_writers_that_create_a_table_at_once(bucket):
    """None fails, and no row is lost."""
    names, features = random_features(8)

    def write(number):
        table = FeatureStore(f"{bucket.url}/new").table(fingerprint())
        table.append([names[number]], features[[number]])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(8)))
    assert FeatureStore(f"{bucket.url}/new").table(fingerprint()).known() == set(names)


@pytest.mark.parametrize("damage", ["truncated", "deleted"])
def test_a_damaged_table_is_noticed(filled, bucket, damage):
    """So that it is computed again."""
    table, names, _ = filled
    first = next(key for key in bucket.names() if "/data/" in key)
    if damage == "deleted":
        bucket.delete(first)
    else:
        bucket.put(first, bucket.get(first)[:-100])
    with pytest.raises(DamagedTable):
        table.read(names)


def test_a_store_that_refuses_is_not_taken_for_damage(filled, bucket, object_store, monkeypatch):
    """Otherwise, a wrong key would delete all features."""
    table, names, _ = filled
    with object_store.checking(), monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        other = FeatureStore(f"{bucket.url}/features").table
        for use in (table.known, lambda: table.read(names), lambda: other(fingerprint())):
            with pytest.raises(StoreError):
                use()
    assert table.known() == set(names)


def test_a_bucket_that_does_not_exist(object_store):
    """It is named."""
    with pytest.raises(StoreError, match="the bucket 'no-such-bucket' does not exist"):
        FeatureStore("s3://no-such-bucket/features").table(fingerprint())
