"""Options are frozen and strict, and errors say what is valid."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from headstart.data.archives import ArchiveLimits
from headstart.errors import OptionError
from headstart.options import (
    DecodeLimits,
    EvaluateOptions,
    ExportOptions,
    OpenOptions,
    PredictOptions,
    TrainOptions,
)

ALL = [
    ArchiveLimits,
    DecodeLimits,
    EvaluateOptions,
    ExportOptions,
    OpenOptions,
    PredictOptions,
    TrainOptions,
]


@pytest.mark.parametrize("options", ALL)
def test_every_option_has_a_default_and_a_description(options):
    """All options can be omitted, and all have a text for help and documentation."""
    options.of()
    for name, field in options.model_fields.items():
        assert field.description, name
        assert not field.is_required(), name


def test_only_given_options_count_as_given():
    """An option with its default value counts; None, False and "" mean that it is omitted."""
    options = TrainOptions.of(epochs=10, mixup=0.0, minutes=None, resume=False, log="")
    assert options.given() == {"epochs": 10, "mixup": 0.0}


def test_an_unknown_name_suggests_the_nearest():
    """For a misspelled keyword, the error suggests a similar one."""
    with pytest.raises(OptionError) as caught:
        TrainOptions.of(backbon="resnet50")
    assert str(caught.value).startswith("Unknown option 'backbon'. Did you mean 'backbone'")


def test_an_unknown_name_without_a_similar_one():
    """Without a similar name, there is no suggestion."""
    with pytest.raises(OptionError) as caught:
        TrainOptions.of(zzzz=1)
    assert str(caught.value) == "Unknown option 'zzzz'."


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"test": 1.0}, "Option 'test' cannot be 1.0: Input should be less than 1."),
        (
            {"test": -0.5},
            "Option 'test' cannot be -0.5: Input should be greater than or equal to 0.",
        ),
        (
            {"label_separator": ""},
            "Option 'label_separator' cannot be '': String should have at least 1 character.",
        ),
        ({"seed": "1"}, "Option 'seed' cannot be '1': Input should be a valid integer."),
        ({"balanced": 1}, "Option 'balanced' cannot be 1: Input should be a valid boolean."),
        (
            {"image_size": 31},
            "Option 'image_size' cannot be 31: Input should be greater than or equal to 32.",
        ),
        (
            {"head": "forest"},
            (
                "Option 'head' cannot be 'forest': "
                "Input should be 'auto', 'linear', 'kernel', 'mlp' or 'nearest'."
            ),
        ),
        (
            {"device": "gpu"},
            "Option 'device' cannot be 'gpu': Input should be 'auto', 'cpu' or 'cuda'.",
        ),
        (
            {"precision": "fp16"},
            "Option 'precision' cannot be 'fp16': Input should be 'auto', 'bf16' or 'float32'.",
        ),
    ],
)
def test_an_invalid_value_is_an_error(values, text):
    """The error has the option, the value and the valid values."""
    with pytest.raises(OptionError) as caught:
        TrainOptions.of(**values)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"half": True, "int8": True}, "half and int8 exclude each other. Choose one."),
        (
            {"int8": True, "only_features": True},
            "int8 is checked by its accuracy, which only_features does not have.",
        ),
        ({"int8": True, "format": "torch"}, "int8 needs format onnx or openvino."),
        ({"max_drop": 1.0}, "max_drop has an effect only with half or int8."),
        ({"max_drop": 101, "half": True}, "Option 'max_drop' cannot be 101: Input should be less "),
    ],
)
def test_options_that_exclude_each_other(values, text):
    """The error is about both options, as neither is wrong by itself."""
    with pytest.raises(OptionError) as caught:
        ExportOptions.of(**values)
    assert str(caught.value).startswith(text)


def test_options_are_frozen():
    """Attributes cannot be assigned."""
    options = TrainOptions.of(seed=3)
    with pytest.raises(ValidationError, match="frozen"):
        options.seed = 4
    assert options.seed == 3


@pytest.mark.parametrize("given", ["runs/a", Path("runs/a")])
def test_paths_may_be_text(given):
    """A folder can be passed as text or as a path."""
    assert TrainOptions.of(out=given, cache=given).out == Path("runs/a")
