"""The public door."""

import subprocess
import sys

import pytest

import headstart as hs

HEAVY = ("torch", "pydantic", "numpy", "sklearn", "timm", "openvino", "lance", "PIL")


def fresh_python(code: str) -> str:
    """Run code in a new interpreter; give what it printed last."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def test_the_public_names_are_these() -> None:
    """Adding or removing a public name is a decision, made here."""
    assert hs.__all__ == [
        "AutoHead",
        "Backbone",
        "Classifier",
        "Featurizer",
        "Gallery",
        "HeadstartError",
        "HeadstartWarning",
        "ImageSet",
        "Images",
        "KernelHead",
        "LinearHead",
        "MLPHead",
        "NearestHead",
        "Prediction",
        "Predictor",
        "Record",
        "UnreadableImage",
        "check",
        "compare",
        "evaluate",
        "explain",
        "export",
        "load",
        "load_backbone",
        "open_images",
        "predict",
        "push",
        "recommend",
        "shift",
        "train",
        "verify",
    ]


def test_the_public_names_are_sorted() -> None:
    """`__all__` is in alphabetical order, capitals first."""
    assert hs.__all__ == sorted(hs.__all__)


@pytest.mark.parametrize("name", hs.__all__)
def test_each_public_name_can_be_had(name: str) -> None:
    """Each name leads to a public object of that very name, with a docstring."""
    found = getattr(hs, name)
    assert found.__name__ == name
    assert found.__doc__


def test_dir_lists_the_public_names_only() -> None:
    """Completion in a notebook offers the public names and nothing else."""
    assert dir(hs) == hs.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A wrong name gives Python's own sentence, so that hasattr works."""
    with pytest.raises(AttributeError, match=r"^module 'headstart' has no attribute 'trian'$"):
        _ = hs.trian


def test_importing_is_cheap() -> None:
    """`import headstart` imports none of the heavy libraries."""
    code = f"import sys, headstart; print([n for n in {HEAVY!r} if n in sys.modules])"
    assert fresh_python(code) == "[]"


def test_importing_changes_nothing() -> None:
    """`import headstart` touches no environment, warning filter, log level or thread."""
    code = """
import logging, os, threading, warnings
def state():
    return dict(os.environ), list(warnings.filters), logging.root.level, threading.active_count()
before = state()
import headstart
print(state() == before)
"""
    assert fresh_python(code) == "True"


def test_help_imports_no_torch() -> None:
    """`headstart --help` answers without waiting for torch, sklearn or openvino."""
    code = """
import sys
from headstart.cli import main
try:
    main(["train", "--help"])
except SystemExit as end:
    assert end.code == 0
slow = ("torch", "sklearn", "timm", "openvino", "lance")
print([name for name in slow if name in sys.modules])
"""
    assert fresh_python(code) == "[]"
