"""Paths in tables are found as people write them; the problem is named if they are not."""

import unicodedata
from pathlib import Path

import pytest

from headstart.data.locating import Locator, check_some_exist
from headstart.data.manifest import Entry
from headstart.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with some files."""
    for name in ("a/1.png", "a/2.jpg", "a/2.png", "b\\3.png", "a/süß.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a/1.png", "a/1.png"),
        ("a\\1.png", "a/1.png"),
        (".\\a\\1.png", "a/1.png"),
        ("a/1", "a/1.png"),
        ("a\\1", "a/1.png"),
        ("b\\3.png", "b\\3.png"),
        (unicodedata.normalize("NFD", "a/süß.png"), "a/süß.png"),
    ],
)
def test_files_are_found(folder: Path, text: str, found: str) -> None:
    """Backslashes, missing suffixes and both Unicode forms are understood."""
    path, problem = Locator(folder).find(text)
    assert problem is None
    assert Path(path).samefile(folder / found)


def test_a_file_url_is_a_path(folder: Path) -> None:
    """Annotation tools write them; their letters may be escaped."""
    assert Locator(folder).find((folder / "a/süß.png").as_uri()) == (
        str(folder / "a/süß.png"),
        None,
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a/2", "several files have this name: 2.jpg and 2.png"),
        ("c/1.png", "the file '{}/c/1.png' does not exist"),
        ("c\\1.png", "the file '{}/c/1.png' does not exist"),
        ("https://x.org/1.png", "it is a URL; download the image and use the path of the file"),
    ],
)
def test_the_problem_is_named(folder: Path, text: str, problem: str) -> None:
    """The message has the full path that was tried."""
    assert Locator(folder).find(text)[1] == problem.format(folder)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1.png", " There is 'a/1.png': change the paths in the table to match."),
        ("1", " There is 'a/1.png': change the paths in the table to match."),
        ("A/1.PNG", " There is 'a/1.png': change the paths in the table to match."),
        ("a/1.jpg", " There is 'a/1.png': change the paths in the table to match."),
        ("x.png", " Paths in a table are relative to its folder."),
    ],
)
def test_a_table_without_any_file_is_an_error(folder: Path, text: str, hint: str) -> None:
    """The likely fix is named."""
    path, problem = Locator(folder).find(text)
    with pytest.raises(DataError) as caught:
        check_some_exist(folder / "t.csv", [Entry(text, path, "a", rejected=problem)])
    assert str(caught.value) == (
        f"None of the files in the table '{folder / 't.csv'}' exist. The first was looked for as "
        f"'{folder / text}'.{hint}"
    )


def test_one_file_is_enough(folder: Path) -> None:
    """Missing files are rejected one by one then."""
    check_some_exist(
        folder, [Entry("1", "1", rejected="the file '1' does not exist"), Entry("2", "2")]
    )
