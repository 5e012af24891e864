"""The Python code blocks of README and docs run."""

import re
from pathlib import Path

import pytest

from tests.conftest import COLOURS, picture
from tests.detection.scenes import scenes, write_yolo

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_code_block_runs(
    block: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    """Each block runs on its own in a folder with photos/, new.jpg, newer.jpg and scenes/.

    One with URLs has s3://my-bucket/, with photos/ and new/.
    """
    for label in ("blue", "red"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(13):
            image = picture(index + 100 * len(label), COLOURS[label])
            image.save(tmp_path / "photos" / label / f"{index}.png")
    for number, name in enumerate(("new.jpg", "newer.jpg")):
        picture(900 + number, COLOURS["green"]).save(tmp_path / name)
    if '"scenes"' in block:
        write_yolo(tmp_path / "scenes", scenes(12))
    if '"s3://' in block:
        bucket = request.getfixturevalue("object_store").bucket("my-bucket")
        bucket.upload(tmp_path / "photos", "photos")
        bucket.put("new/new.jpg", (tmp_path / "new.jpg").read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "block", "exec"), {})
    printed = capsys.readouterr().out
    assert ("print(" in block) == bool(printed)


def test_there_are_blocks() -> None:
    """README and the guide have code blocks."""
    assert len(BLOCKS) >= 3
