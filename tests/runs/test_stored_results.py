"""Results that are kept in a file are equal to those that were written."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.answers import MultiPrediction, Prediction
from headstart.predictor.predictor import AnyPrediction, FailedPrediction
from headstart.runs.stored_results import is_complete, read_results, write_results

SHARES = st.floats(0, 1)
NAMES = st.text(st.characters(exclude_categories=["Cs"]))
PAIRS = st.lists(st.tuples(NAMES, SHARES), max_size=3).map(tuple)
ROWS = st.lists(SHARES, min_size=2, max_size=2).map(np.array)
SAID = st.none() | st.booleans()
RESULTS = st.one_of(
    st.builds(FailedPrediction, NAMES, NAMES),
    st.builds(MultiPrediction, NAMES, PAIRS, PAIRS, ROWS, SAID, st.none() | NAMES),
    st.builds(
        Prediction,
        *(NAMES, NAMES, SHARES, PAIRS, ROWS, SAID),
        st.none() | st.lists(NAMES, max_size=3).map(tuple),
        *(SAID, st.none() | NAMES),
    ),
)


@given(st.lists(RESULTS, max_size=5))
@settings(max_examples=30)
def test_results_are_read_as_they_were_written(results: list[AnyPrediction]) -> None:
    """To the bit, with everything that they say, and in any mixture."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.parquet"
        write_results(path, iter(results))
        found = list(read_results(path))
        assert is_complete(path)
    assert found == results
    for one, other in zip(found, results, strict=True):
        if not isinstance(other, FailedPrediction):
            np.testing.assert_array_equal(one.probabilities, other.probabilities, strict=True)


@pytest.mark.parametrize("content", [b"", b"PAR1", None])
def test_damaged_files_are_not_complete(tmp_path: Path, content: bytes | None) -> None:
    """Nor is a file that does not exist."""
    if content is not None:
        (tmp_path / "part.parquet").write_bytes(content)
    assert not is_complete(tmp_path / "part.parquet")
