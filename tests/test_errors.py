"""The tree of errors, and suggestions of similar names."""

import inspect

import pytest

from headstart import errors
from headstart.errors import DataError, HeadstartError, UnreadableImage, suggestion


def test_every_error_is_a_headstart_error():
    """One `except` catches every error that a user can cause, and the tree lists them all."""
    found = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__ and not issubclass(kind, (Warning, KeyboardInterrupt))
    ]
    assert len(found) == 20
    for kind in found:
        assert issubclass(kind, HeadstartError)
        assert kind.__name__ in errors.__doc__


def test_an_unreadable_image_has_path_and_reason():
    """Both are in the message and available as attributes."""
    error = UnreadableImage("a/b.jpg", "the file is empty")
    assert str(error) == "Cannot read image 'a/b.jpg': the file is empty."
    assert (error.path, error.reason) == ("a/b.jpg", "the file is empty")
    assert isinstance(error, DataError)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("resnet5", " Did you mean 'resnet50', 'resnet101'?"),
        ("RESNET50", " Did you mean 'resnet50', 'resnet101'?"),
        ("zzz", ""),
    ],
)
def test_suggestions(wrong, text):
    """The most similar names are suggested, best first, regardless of case."""
    assert suggestion(wrong, ["vgg16", "resnet101", "resnet50"]) == text
