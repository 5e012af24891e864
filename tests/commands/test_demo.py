"""Demo: the table of solar cells."""

import csv
import itertools
from collections import Counter
from pathlib import Path

import pytest

from headstart.commands import demo
from headstart.commands.demo import write_solar_cells
from headstart.errors import DataError


def rows_of(table: Path) -> list[dict[str, str]]:
    """Read a table."""
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, str]]:
    """The demo's table."""
    pytest.importorskip("elpv_dataset")
    return rows_of(write_solar_cells(tmp_path))


def test_every_cell_is_in_the_table(rows: list[dict[str, str]]) -> None:
    """Each of the 2,624 photos is listed once and exists."""
    paths = [row["path"] for row in rows]
    assert len(set(paths)) == len(paths) == 2624
    assert all(Path(path).is_file() for path in paths)


def test_labels_follow_the_experts(rows: list[dict[str, str]], tmp_path: Path) -> None:
    """Cells with a probability above 0.5 are defective: 821 of 2,624."""
    assert Counter(row["label"] for row in rows) == {"functional": 1803, "defective": 821}


def test_a_quarter_of_each_stratum_is_in_the_test_part(rows: list[dict[str, str]]) -> None:
    """The split is stratified by probability and type of cell."""
    import elpv_dataset

    lines = (Path(elpv_dataset.__file__).parent / "data/labels.csv").read_text().splitlines()
    strata = {name: (probability, kind) for name, probability, kind in map(str.split, lines)}
    stratum_of_row = [strata["images/" + Path(row["path"]).name] for row in rows]
    sizes = Counter(stratum_of_row)
    in_test = (row["split"] == "test" for row in rows)
    tested = Counter(itertools.compress(stratum_of_row, in_test))
    assert len(sizes) == 8
    assert tested == {name: round(size / 4) for name, size in sizes.items()}


def test_the_split_is_the_same_everywhere(rows: list[dict[str, str]], tmp_path: Path) -> None:
    """The table is the same in another folder."""
    assert rows_of(write_solar_cells(tmp_path / "elsewhere")) == rows


def test_another_seed_is_another_split(rows: list[dict[str, str]], tmp_path: Path) -> None:
    """The seed changes which cells are in the test part, not how many."""
    others = rows_of(write_solar_cells(tmp_path, seed=1))
    splits, other_splits = ([row["split"] for row in table] for table in (rows, others))
    assert splits != other_splits
    assert Counter(splits) == Counter(other_splits)


def test_without_the_package_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the extra that installs the photos."""
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    with pytest.raises(DataError) as error:
        write_solar_cells(tmp_path)
    assert str(error.value) == (
        "The demo's photos are not installed. Run: pip install 'headstart[demo]'"
    )
