"""Round trips: values that are written and read again are unchanged."""

import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from headstart.data.preprocessing import Preprocess
from headstart.features.fingerprint import Fingerprint
from headstart.features.rounding import as_stored
from headstart.features.store import FeatureStore
from headstart.heads import fitted
from headstart.heads.fitted import KernelModel, LinearModel, MLPModel, NearestModel
from headstart.options import FeaturesOption
from headstart.predictor.bundle import Bundle, read_bundle, write_bundle
from headstart.predictor.config import (
    BackboneConfig,
    Calibration,
    Config,
    HeadConfig,
    Specification,
)

few = settings(max_examples=15, deadline=None)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text("abc.xyz_0123", min_size=1, max_size=12)
tensors = st.dictionaries(
    names,
    st.sampled_from([np.float32, np.float16, np.int64, np.uint8]).flatmap(
        lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, max_dims=3, max_side=4))
    ),
    max_size=4,
)
floats = st.floats(-1e3, 1e3, width=32)


@few
@given(
    st.builds(
        Config,
        headstart=texts,
        created=texts,
        task=texts,
        classes=st.lists(texts, max_size=4).map(tuple),
        preprocess=st.builds(Preprocess, size=st.integers(1, 999), crop=floats),
        backbone=st.builds(BackboneConfig, texts, texts, texts),
        features=texts,
        stored_as=texts,
        precision=texts,
        head=st.builds(HeadConfig, texts, st.dictionaries(texts, floats | texts, max_size=3)),
        calibration=st.builds(Calibration, floats),
        specification=st.builds(
            Specification,
            kind=texts,
            settings=st.dictionaries(texts, st.integers(0, 999) | floats, max_size=3),
            features=st.sampled_from(get_args(FeaturesOption)),
            balanced=st.booleans(),
            seed=st.integers(0),
        ),
        record=st.just(None),
    ),
    tensors,
    texts,
)
def test_bundle_round_trip(config, weights, card):
    """Any configuration, tensors and text are read as they were written."""
    with tempfile.TemporaryDirectory() as folder:
        write_bundle(Bundle(config, weights, card), Path(folder) / "model")
        found = read_bundle(Path(folder) / "model")
    assert found.config == config
    assert found.card == card
    assert found.tensors.keys() == weights.keys()
    for name, tensor in weights.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert found.tensors[name].shape == tensor.shape
        np.testing.assert_array_equal(found.tensors[name], tensor)


@few
@given(st.data())
def test_head_round_trip(data):
    """A head of any kind computes the same scores after it is written and read."""
    width, classes, count = (data.draw(st.integers(1, 4)) for _ in range(3))

    def array(*shape):
        return data.draw(arrays.arrays(np.float32, shape, elements=floats))

    mean, scale = array(width), np.abs(array(width)) + 1
    bias, rows = array(classes), array(count, width)
    head = data.draw(
        st.sampled_from(
            [
                LinearModel(mean, scale, array(width, classes), bias),
                KernelModel(mean, scale, array(3, width), array(3, classes), bias, 0.7),
                MLPModel(mean, scale, array(width, 2), array(2), array(2, classes), bias),
                NearestModel(mean, scale, array(classes, width)),
            ]
        )
    )
    again = fitted.from_arrays(head.kind, *fitted.to_arrays(head))
    np.testing.assert_array_equal(again.logits(rows), head.logits(rows))


@few
@given(
    st.integers(1, 9).flatmap(
        lambda count: st.tuples(
            arrays.arrays(np.float32, (count, 5), elements=st.floats(-6e4, 6e4, width=32)),
            st.permutations(range(count)),
            st.integers(1, count),
        )
    ),
    st.sampled_from(["bf16", "float32"]),
)
def test_feature_store_round_trip(case, precision):
    """Any features can be written in any number of batches and read in any order."""
    features, order, batch = case
    fingerprint = Fingerprint("net", "w", (("output", 5),), Preprocess(8), precision)
    with tempfile.TemporaryDirectory() as folder:
        table = FeatureStore(Path(folder)).table(fingerprint)
        for start in range(0, len(features), batch):
            rows = range(start, min(start + batch, len(features)))
            table.append([str(row) for row in rows], features[rows.start : rows.stop])
        found = table.read([str(row) for row in order])
    np.testing.assert_array_equal(found, as_stored(features, table.kind)[list(order)])


@given(
    st.builds(
        Preprocess,
        size=st.integers(8, 600),
        resize=st.sampled_from(["squash", "shorter"]),
        crop=st.floats(0.1, 1.0),
        interpolation=st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
        mean=st.tuples(*[st.floats(0, 1)] * 3),
        std=st.tuples(*[st.floats(0.1, 1)] * 3),
    )
)
def test_preprocess_round_trip(preprocess):
    """Any `Preprocess` is unchanged after a conversion to JSON values."""
    assert Preprocess.from_dict(preprocess.to_dict()) == preprocess
