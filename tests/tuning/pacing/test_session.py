"""Decisions based on timing are saved beside the checkpoints."""

from headstart.tuning.pacing.session import Session
from headstart.tuning.pacing.timing import Setting


def test_a_session_is_read_back(tmp_path):
    """A resumed training has the same plan and setting."""
    session = Session("stages:2", 3, Setting(bf16=True, images_per_second={"bf16": 2.5}))
    session.write(tmp_path / "new")
    assert Session.read(tmp_path / "new") == session
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["session.json"]


def test_a_damaged_or_missing_session_is_none(tmp_path):
    """In this case timing is repeated."""
    assert Session.read(None) is None and Session.read(tmp_path) is None
    (tmp_path / "session.json").write_text('{"part": "all"}')
    assert Session.read(tmp_path) is None


def test_a_folder_that_cannot_be_written_is_ignored(tmp_path):
    """Training works without a saved session."""
    (tmp_path / "file").write_text("")
    Session("all", 1, Setting()).write(tmp_path / "file")
    Session("all", 1, Setting()).write(None)
    assert Session.read(tmp_path / "file") is None
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
