"""The annotations on the disk."""

import json
import os
from pathlib import Path

import pytest

from headstart.errors import OutputError
from headstart.server.label_studio.journal import Journal, Labelled, Withdrawn


def labelled(annotation: int, label: str, task: int = 0) -> Labelled:
    number = task or annotation
    return Labelled(annotation, number, f"{number}.png", (label,), False)


def labels(path: Path) -> dict[object, str]:
    """Return the label of each task, as they are read from the disk."""
    return {one.task: one.labels[0] for one in Journal(path).labelled()}


def test_the_last_annotation_of_a_task_counts(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    assert journal.add("3", [labelled(1, "blue"), labelled(2, "red")]) == 2
    assert journal.add("3", [labelled(1, "red")]) == 1
    assert journal.add("3", [labelled(1, "red")]) == 0
    assert labels(path) == {1: "red", 2: "red"}
    journal.add("3", [labelled(3, "blue", task=1)])
    assert labels(path) == {1: "blue", 2: "red"}
    journal.add("3", [Withdrawn(annotation=3), Withdrawn(annotation=99)])
    assert labels(path) == {1: "red", 2: "red"}
    journal.add("3", [Withdrawn(task=1)])
    assert labels(path) == {2: "red"}
    assert journal.labelled() == Journal(path).labelled()
    assert Journal(path).project == "3"
    assert len(path.read_text().splitlines()) == 6


def test_each_prefix_of_the_file_is_read(tmp_path: Path) -> None:
    """A process may be killed while it writes; what was confirmed before is there."""
    path = tmp_path / "journal"
    Journal(path).add("3", [labelled(number, "blü") for number in (1, 2, 3)])
    data = path.read_bytes()
    for end in range(len(data) + 1):
        path.write_bytes(data[:end])
        journal = Journal(path)
        whole = data[:end].count(b"\n") + (data[end : end + 1] == b"\n")
        assert len(journal.labelled()) == whole
        journal.add("3", [labelled(9, "red")])
        assert labels(path) == {**dict.fromkeys(range(1, whole + 1), "blü"), 9: "red"}


def test_what_is_no_annotation_is_counted_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    lines = ["{}", "[]", "1", '{"annotation": [], "task": 1}', '{"labels": 1}', "\\", ""]
    path.write_text("\n".join([*lines, json.dumps(labelled(1, "blue").to_json()), ""]))
    journal = Journal(path)
    assert journal.damaged == 6
    assert labels(path) == {1: "blue"}


def test_what_cannot_be_written_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OutputError, match="No space left on device"):
            journal.add("3", [labelled(1, "blue")])
    assert journal.labelled() == []
    journal.add("3", [labelled(2, "red")])
    assert labels(path)[2] == "red"


def test_a_folder_in_place_of_the_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be read"):
        Journal(tmp_path)
