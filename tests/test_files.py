"""Files are written atomically, even with crashes and concurrent writers."""

import hashlib
import json
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headstart import files
from headstart.files import (
    Locked,
    atomic_create,
    atomic_replace,
    digest,
    file_sha256,
    json_list,
    json_text,
    locked,
    partial_path,
    remove,
    replace,
    size_of,
    write_atomically,
    write_json,
    write_zeros,
)

LONG = "ä" * 120 + ".json.bak.1.txt"  # 255 bytes.


def listing(folder: Path) -> dict[str, bytes | dict]:
    """Read everything in a folder, including hidden files."""
    return {
        path.name: listing(path) if path.is_dir() else path.read_bytes()
        for path in folder.iterdir()
    }


def fill(folder: Path, content: str) -> None:
    """Create a folder with two files of the given content."""
    folder.mkdir()
    (folder / "one").write_text(content)
    (folder / "two").write_text(content)


def test_file_hash_is_sha256_of_the_content(tmp_path: Path) -> None:
    """The hash depends only on the bytes."""
    (tmp_path / "a.bin").write_bytes(b"headstart" * 100_000)
    expected = hashlib.sha256(b"headstart" * 100_000).hexdigest()
    assert file_sha256(tmp_path / "a.bin") == expected


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    """Equal values have equal digests, and text need not be ASCII."""
    assert digest({"a": 1, "b": ["ü"]}) == digest({"b": ["ü"], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert digest({"a": "ü"}) == hashlib.sha256('{"a":"ü"}'.encode()).hexdigest()


@pytest.mark.parametrize("context", [atomic_replace, atomic_create])
@pytest.mark.parametrize("name", ["file", "a.txt", LONG, "a." + "b" * 253])
def test_a_new_file_appears_when_it_is_complete(tmp_path: Path, context, name: str) -> None:
    """The target does not exist until the block ends; parent folders are created."""
    assert len(LONG.encode()) == 255
    target = tmp_path / "deep" / "er" / name
    with context(target) as partial:
        partial.write_text("content")
        assert not target.exists()
        assert partial.parent == target.parent and partial.name.startswith(".")
    assert listing(target.parent) == {name: b"content"}


@pytest.mark.parametrize("context", [atomic_replace, atomic_create])
@pytest.mark.parametrize("name", ["folder", LONG])
def test_a_new_folder_appears_when_it_is_complete(tmp_path: Path, context, name: str) -> None:
    """A folder is moved into place as a whole."""
    with context(tmp_path / name) as partial:
        fill(partial, "new")
        assert not (tmp_path / name).exists()
    assert listing(tmp_path) == {name: {"one": b"new", "two": b"new"}}


@pytest.mark.parametrize("context", [atomic_replace, atomic_create])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_block_that_raises_leaves_nothing(tmp_path: Path, context, error) -> None:
    """The partial content is removed, and an existing target is kept."""
    (tmp_path / "old").write_text("old")
    for name, make in (("old", Path.touch), ("new", Path.touch), ("folder", Path.mkdir)):
        with pytest.raises(error), context(tmp_path / name) as partial:
            make(partial)
            raise error
    assert listing(tmp_path) == {"old": b"old"}


def test_replace_removes_the_old_target(tmp_path: Path) -> None:
    """A file replaces a file, and a folder replaces a folder."""
    target = tmp_path / "target"
    with atomic_replace(target) as partial:
        partial.write_text("first")
    with atomic_replace(target) as partial:
        partial.write_text("second")
        assert target.read_text() == "first"
    assert listing(tmp_path) == {"target": b"second"}
    for content in ("third", "fourth"):
        with atomic_replace(tmp_path / "folder") as partial:
            fill(partial, content)
        assert listing(tmp_path)["folder"] == {name: content.encode() for name in ("one", "two")}


@pytest.mark.parametrize("there", ["file", "folder"])
def test_replace_never_swaps_a_folder_for_a_file_or_a_file_for_a_folder(
    tmp_path: Path, there: str
) -> None:
    """Both are errors, and the target is unchanged."""
    target = tmp_path / "target"
    if there == "file":
        target.write_text("kept")
        error: type[OSError] = NotADirectoryError
    else:
        fill(target, "kept")
        error = IsADirectoryError
    before = listing(tmp_path)
    with pytest.raises(error), atomic_replace(target) as partial:
        if there == "file":
            fill(partial, "new")
        else:
            partial.write_text("new")
    assert listing(tmp_path) == before


def test_create_keeps_an_existing_target(tmp_path: Path) -> None:
    """The second writer's file or folder is discarded."""
    for content in ("first", "second"):
        with atomic_create(tmp_path / "file") as partial:
            partial.write_text(content)
        with atomic_create(tmp_path / "folder") as partial:
            fill(partial, content)
    expected = {"one": b"first", "two": b"first"}
    assert listing(tmp_path) == {"file": b"first", "folder": expected}


def test_create_fails_if_a_file_is_in_place_of_a_folder(tmp_path: Path) -> None:
    """The file is unchanged."""
    (tmp_path / "target").write_text("in the way")
    with pytest.raises(OSError), atomic_create(tmp_path / "target") as partial:
        fill(partial, "new")
    assert listing(tmp_path) == {"target": b"in the way"}


def test_create_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If files cannot be linked, they are moved."""

    def no_links(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", no_links)
    with atomic_create(tmp_path / "file") as partial:
        partial.write_text("first")
    with atomic_create(tmp_path / "file") as partial:
        partial.write_text("second")
    assert listing(tmp_path) == {"file": b"first"}


@pytest.mark.parametrize("size", [1, 2**20, 2**21 + 1])
def test_a_file_of_zeros_is_fully_allocated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Space is reserved if the system supports it, otherwise zeros are written."""
    write_zeros(tmp_path / "reserved", size)
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    write_zeros(tmp_path / "written", size)
    assert listing(tmp_path) == {"reserved": bytes(size), "written": bytes(size)}


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    """A file in place of a parent folder is an OSError, and nothing is left behind."""
    (tmp_path / "file").touch()
    for context in (atomic_replace, atomic_create):
        with pytest.raises(OSError), context(tmp_path / "file" / "target"):
            pass
    assert listing(tmp_path) == {"file": b""}


def test_text_bytes_and_json_are_written_atomically(tmp_path: Path) -> None:
    """Text is UTF-8; JSON is readable and ends in a newline."""
    write_atomically(tmp_path / "text", "ü")
    write_atomically(tmp_path / "bytes", b"\xff")
    write_json(tmp_path / "json", {"a": ["ü", 1]})
    content = listing(tmp_path)
    assert (content["text"], content["bytes"]) == ("ü".encode(), b"\xff")
    assert json.loads(content["json"]) == {"a": ["ü", 1]}
    assert content["json"].endswith(b"\n") and b"\\u" not in content["json"]


def test_a_failed_move_restores_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the new folder cannot be moved, the old one is moved back."""
    fill(tmp_path / "old", "old")
    fill(tmp_path / "new", "new")
    move = Path.replace

    def failing(path: Path, target: Path) -> Path:
        if path.name == "new" and not target.exists():
            raise OSError(28, "No space left on device")
        return move(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="No space left"):
        replace(tmp_path / "new", tmp_path / "old")
    assert listing(tmp_path / "old") == {"one": b"old", "two": b"old"}


def test_replacing_by_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """The old file is kept."""
    (tmp_path / "old").write_text("old")
    with pytest.raises(FileNotFoundError):
        replace(tmp_path / "new", tmp_path / "old")
    assert listing(tmp_path) == {"old": b"old"}


def test_partial_paths_are_hidden_unique_and_short() -> None:
    """A short suffix is kept, for libraries that depend on it."""
    paths = {partial_path(Path("folder") / "a.xml") for _ in range(100)}
    assert len(paths) == 100
    assert all(path.name.startswith(".") and path.suffix == ".xml" for path in paths)
    assert len(partial_path(Path("a." + "ä" * 120)).name.encode()) < 64


def test_remove_accepts_files_folders_links_and_missing_paths(tmp_path: Path) -> None:
    """A link is removed, and its target is kept."""
    fill(tmp_path / "folder", "x")
    fill(tmp_path / "kept", "x")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    for name in ("folder", "file", "link", "nothing"):
        remove(tmp_path / name)
    assert listing(tmp_path) == {"kept": {"one": b"x", "two": b"x"}}


def test_sizes(tmp_path: Path) -> None:
    """Files, nested folders, missing paths and broken links all have a size."""
    fill(tmp_path / "folder", "123")
    (tmp_path / "folder" / "inner").mkdir()
    (tmp_path / "folder" / "inner" / "three").write_text("4567")
    (tmp_path / "folder" / "broken").symlink_to(tmp_path / "nothing")
    assert size_of(tmp_path / "folder") == 10
    assert size_of(tmp_path / "folder" / "one") == 3
    assert size_of(tmp_path / "nothing") == 0


def test_a_lock_is_exclusive(tmp_path: Path) -> None:
    """The second attempt fails until the first lock is released; the folder is created."""
    path = tmp_path / "deep" / ".lock"
    with locked(path):
        with pytest.raises(Locked), locked(path):
            pass
        assert path.parent.is_dir()
    with locked(path):
        pass


def test_a_lock_file_that_cannot_be_written_is_ignored(tmp_path: Path) -> None:
    """If nothing can be written there, no lock is needed."""
    (tmp_path / "file").touch()
    with locked(tmp_path / "file" / ".lock"):
        entered = True
    assert entered and (tmp_path / "file").is_file()


def test_threads_that_replace_one_folder_at_once(tmp_path: Path) -> None:
    """In the end there is one complete folder and nothing else."""
    target, together = tmp_path / "target", threading.Barrier(4)

    def write(number: int) -> None:
        together.wait()
        for _ in range(30):
            with atomic_replace(target) as partial:
                fill(partial, str(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    content = listing(tmp_path)
    assert list(content) == ["target"]
    assert content["target"]["one"] == content["target"]["two"]


WRITER = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from headstart.files import locked, atomic_create, atomic_replace
    way, target, content = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    print("ready", flush=True)
    sys.stdin.readline()
    if way == "lock":
        with locked(target):
            print("locked", flush=True)
            time.sleep(60)
    with (atomic_create if way == "once" else atomic_replace)(target) as partial:
        partial.mkdir()
        for name in ("one", "two"):
            (partial / name).write_text(content * 1_000_000)
            if way == "crash":
                print("half", flush=True)
                time.sleep(60)
    """
)


def start(way: str, target: Path, content: str = "x") -> subprocess.Popen:
    """Start a process that waits for a signal to write a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, way, str(target), content],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(files.__file__).parents[1])},
    )
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen) -> None:
    """Signal a process to write."""
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("way", ["whole", "once"])
def test_two_processes_that_write_at_once(tmp_path: Path, way: str) -> None:
    """In the end there is one complete folder from one of the processes."""
    processes = [start(way, tmp_path / "target", content) for content in "ab"]
    for process in processes:
        go(process)
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    content = listing(tmp_path)
    assert list(content) == ["target"]
    assert content["target"]["one"] == content["target"]["two"]
    assert content["target"]["one"] in (b"a" * 1_000_000, b"b" * 1_000_000)


def test_a_process_that_is_killed_while_writing(tmp_path: Path) -> None:
    """The old folder is unchanged, and leftovers do not affect the next writer."""
    fill(tmp_path / "target", "old")
    process = start("crash", tmp_path / "target")
    go(process)
    assert process.stdout.readline() == "half\n"
    process.kill()
    process.communicate(timeout=30)
    assert listing(tmp_path / "target") == {"one": b"old", "two": b"old"}
    visible = [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert visible == ["target"]
    with atomic_replace(tmp_path / "target") as partial:
        fill(partial, "new")
    assert listing(tmp_path / "target") == {"one": b"new", "two": b"new"}


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    """The lock is held while the process runs, and released by kill -9."""
    process = start("lock", tmp_path / ".lock")
    go(process)
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(Locked), locked(tmp_path / ".lock"):
        pass
    process.kill()
    process.communicate(timeout=30)
    with locked(tmp_path / ".lock"):
        pass


@pytest.mark.parametrize("values", [[], [1], [{"a": [1, "x\ny\u2028"]}, [], {}, "ü"]])
def test_a_list_in_pieces_is_the_text_of_the_list(values: list[object]) -> None:
    """It is as if the list had been written at once."""
    assert "".join(json_list(map(json_text, values))) == json_text(values)
