"""Which images are read, and which never."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from headstart.errors import OptionError
from headstart.server.label_studio import host
from headstart.server.label_studio.host import Host, Unavailable
from headstart.server.label_studio.images import Images, short_name
from tests.server.label_studio.conftest import TOKEN, FakeLabelStudio

LIMIT = 1000


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    for name in ("a.png", "sub/b c.png", "upload/3/x.png", "ü.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "files-too").mkdir()
    (tmp_path / "files-too" / "a.png").write_bytes(b"secret")
    return folder


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", "a.png"),
        ("sub/b c.png", "sub/b c.png"),
        ("/data/local-files/?d=a.png", "a.png"),
        ("/data/local-files/?d=sub%2Fb%20c.png", "sub/b c.png"),
        ("/data/local-files/?d=%C3%BC.png", "ü.png"),
        ("/data/upload/3/x.png", "upload/3/x.png"),
        ("http://localhost:8080/data/upload/3/x.png", "upload/3/x.png"),
        ("HTTP://LOCALHOST:8080/data/local-files/?d=a.png", "a.png"),
    ],
)
def test_files_of_the_folder_are_read(files: Path, name: str, content: str) -> None:
    images = Images(LIMIT, files, Host("http://localhost:8080"))
    assert images.read(name).decode() == content


def test_the_folder_may_be_the_one_around_or_below_the_uploads(files: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    files.rename(tmp_path / "data" / "media")
    for folder in ("data", "data/media", "data/media/upload"):
        images = Images(LIMIT, tmp_path / folder)
        assert images.read("/data/upload/3/x.png") == b"upload/3/x.png"


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "sub/../../secret.png",
        "/data/local-files/?d=../secret.png",
        "/data/local-files/?d=%2e%2e/secret.png",
        "/data/local-files/?d=../files-too/a.png",
        "/data/upload/../../secret.png",
        "/data/upload/%2e%2e/%2e%2e/secret.png",
        "{outside}/secret.png",
        "/data/local-files/?d={outside}/secret.png",
        "file://{outside}/secret.png",
        "/data/local-files/?d=sub",
        "a.png\0",
        "/data/local-files/?d=",
        "x" * 5000,
        "",
    ],
)
def test_no_other_file_is_read(files: Path, name: str) -> None:
    with pytest.raises(Unavailable):
        Images(LIMIT, files).read(name.format(outside=files.parent))


def test_links_are_followed_only_within_the_folder(files: Path) -> None:
    (files / "in.png").symlink_to(files / "a.png")
    (files / "out.png").symlink_to(files.parent / "secret.png")
    (files / "up").symlink_to(files.parent)
    os.mkfifo(files / "pipe.png")
    images = Images(LIMIT, files)
    assert images.read("in.png") == b"a.png"
    for name in ("out.png", "up/secret.png", "pipe.png"):
        with pytest.raises(Unavailable):
            images.read(name)


def test_images_are_downloaded_from_the_one_label_studio(
    label_studio: FakeLabelStudio, files: Path
) -> None:
    label_studio.answers["/data/upload/3/y%20z.png"] = b"there"
    images = Images(LIMIT, files, Host.from_environment())
    assert images.read("/data/upload/3/y z.png") == b"there"
    assert images.read(f"{label_studio.url}/data/upload/3/y%20z.png") == b"there"
    assert label_studio.asked == [("/data/upload/3/y%20z.png", f"Token {TOKEN}")] * 2


@pytest.mark.parametrize(
    "name",
    [
        "http://other.example/data/upload/3/x.png",
        "http://127.0.0.1:1/data/upload/3/x.png",
        "http://127.0.0.1@other.example/data/upload/3/x.png",
        "//other.example/data/upload/3/x.png",
        "http:/other.example/x.png",
        "http://[bad/x.png",
        "https://127.0.0.1/data/x.png",
        "s3://bucket/x.png",
        "gs://bucket/x.png",
        "ftp://127.0.0.1/x.png",
        "file:///etc/passwd",
        "/etc/passwd",
        "/api/users/",
        "/data/../api/users/",
        "/data/%2e%2e/api/users/",
        "data/x.png",
        "data:image/png,abc",
        "data:image/png;base64,%%%",
    ],
)
def test_nothing_else_is_asked_for(label_studio: FakeLabelStudio, files: Path, name: str) -> None:
    with pytest.raises(Unavailable):
        Images(LIMIT, files, Host.from_environment()).read(name)
    assert label_studio.asked == []


def test_redirects_stay_at_the_host(label_studio: FakeLabelStudio) -> None:
    images = Images(LIMIT, None, Host.from_environment())
    label_studio.answers |= {
        "/data/a.png": "/data/b.png",
        "/data/b.png": b"there",
        "/data/c.png": "http://127.0.0.1:1/d.png",
        "/data/e.png": "//other.example/f.png",
        "/data/g.png": "/data/g.png",
    }
    assert images.read("/data/a.png") == b"there"
    for name in "ce":
        with pytest.raises(Unavailable, match="redirects to another host, which is not asked"):
            images.read(f"/data/{name}.png")
    with pytest.raises(Unavailable, match="redirects too often"):
        images.read("/data/g.png")


def test_large_images_missing_ones_and_silence_are_said(
    label_studio: FakeLabelStudio, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_studio.answers["/data/large.png"] = bytes(LIMIT + 1)
    (files / "large.png").write_bytes(bytes(LIMIT + 1))
    images = Images(LIMIT, files, Host.from_environment())
    for name in ("large.png", "/data/large.png"):
        with pytest.raises(Unavailable, match="which is the limit"):
            images.read(name)
    with pytest.raises(Unavailable, match="status 404"):
        images.read("/data/missing.png")
    monkeypatch.setenv(host.URL, "http://127.0.0.1:1")
    with pytest.raises(Unavailable, match="cannot be reached"):
        Images(LIMIT, None, Host.from_environment()).read("/data/x.png")
    with pytest.raises(Unavailable, match="do not say where to download it from"):
        Images(LIMIT).read("/data/x.png")


def test_a_personal_token_is_exchanged_first(
    label_studio: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(host.KEY, "abc.def.ghi")
    label_studio.answers["/data/x.png"] = b"there"
    assert Images(LIMIT, None, Host.from_environment()).read("/data/x.png") == b"there"
    assert label_studio.asked == [
        ("/api/token/refresh", '{"refresh": "abc.def.ghi"}'),
        ("/data/x.png", "Bearer short-lived"),
    ]


def test_a_label_studio_below_a_path(label_studio: FakeLabelStudio) -> None:
    label_studio.answers["/label/data/x.png"] = b"there"
    images = Images(LIMIT, None, Host(f"{label_studio.url}/label"))
    assert images.read("/data/x.png") == b"there"
    assert images.read(f"{label_studio.url}/label/data/x.png") == b"there"
    with pytest.raises(Unavailable):
        images.read(f"{label_studio.url}/data/x.png")


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://", "http://a:b@host"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(OptionError, match="It must be an address such as"):
        Host.from_environment({host.URL: url})


def test_images_to_train_on_are_downloaded_once(
    label_studio: FakeLabelStudio, files: Path, tmp_path: Path
) -> None:
    label_studio.answers["/data/y.png"] = b"there"
    images = Images(LIMIT, files, Host.from_environment(), tmp_path / "kept")
    assert images.file("/data/local-files/?d=a.png") == files / "a.png"
    first = images.file("/data/y.png")
    assert (first.parent, first.suffix) == (tmp_path / "kept", ".png")
    assert images.file("/data/y.png") == first
    assert images.read("/data/y.png") == b"there"
    assert len(label_studio.asked) == 1


def test_an_image_in_the_task_itself_is_kept(tmp_path: Path) -> None:
    images = Images(LIMIT, kept=tmp_path)
    name = f"data:image/png;base64,{base64.b64encode(b'there').decode()}"
    assert images.read(name) == b"there"
    kept = images.keep(name)
    assert images.file(kept).read_bytes() == images.read(kept) == b"there"
    assert images.keep("/data/x.png") == "/data/x.png"
    for wrong in ("kept:../a.png", "kept:", "kept:abc"):
        with pytest.raises(Unavailable):
            images.file(wrong)


def test_no_secret_is_in_the_log() -> None:
    assert short_name("https://host/x.png?signature=1") == "https://host/x.png"
    assert short_name("/data/local-files/?d=a.png") == "/data/local-files/?d=a.png"
    assert short_name("data:image/png;base64,AAAA") == "data URL"
    assert TOKEN not in repr(Host("http://host", TOKEN))
