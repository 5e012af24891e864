"""URLs as text."""

from pathlib import Path

import pytest

from headstart.urls import is_url, url_of


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("s3://bucket/photos/", "s3://bucket/photos"),
        (Path("s3://bucket/photos/1.jpg"), "s3://bucket/photos/1.jpg"),
        ("S3://bucket/a//b c.png", "s3://bucket/a//b c.png"),
        ("gs:/bucket/a", "gs://bucket/a"),
        ("C:/photos", None),
        ("photos/s3:/1.jpg", None),
        ("folder:name/1.jpg", None),
    ],
)
def test_a_path_is_a_url_also_without_its_slashes(path, url):
    """`Path` merges slashes; drives of Windows and other names with colons are no URLs."""
    assert url_of(path) == url
    assert is_url(str(path)) == (url is not None)
