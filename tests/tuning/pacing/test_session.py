"""What timing decided is kept beside the checkpoints."""

from headstart.tuning.pacing.session import Session
from headstart.tuning.pacing.timing import Setting


def test_a_session_is_read_back(tmp_path):
    """Another run takes its steps alike."""
    session = Session("stages:2", 3, Setting(bf16=True, images_per_second={"bf16": 2.5}))
    session.write(tmp_path / "new")
    assert Session.read(tmp_path / "new") == session
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["session.json"]


def test_what_is_damaged_or_missing_is_none(tmp_path):
    """Then everything is timed again."""
    assert Session.read(None) is None and Session.read(tmp_path) is None
    (tmp_path / "session.json").write_text('{"part": "all"}')
    assert Session.read(tmp_path) is None


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path):
    """A training without its session can still be trained to the end."""
    (tmp_path / "file").write_text("")
    Session("all", 1, Setting()).write(tmp_path / "file")
    Session("all", 1, Setting()).write(None)
