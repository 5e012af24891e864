"""Keywords of the library's functions: the same as the options, for editors and for help."""

import inspect
import pydoc
import types
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest

import headstart as hs
from headstart import gallery_options, keywords, options
from headstart.keywords import with_keywords
from headstart.options import OpenOptions, Options, TrainOptions


def _options_of(name: str) -> type[options.Options]:
    """Return a class of options by its name."""
    return getattr(options, name, None) or getattr(gallery_options, name)


PAIRS = [
    (_options_of(name.replace("Keywords", "Options")), getattr(keywords, name))
    for name in vars(keywords)
    if name.endswith("Keywords")
]

FUNCTIONS = [
    (hs.train, options.TrainOptions),
    (hs.evaluate, options.EvaluateOptions),
    (hs.predict, options.PredictOptions),
    (hs.recommend, options.RecommendOptions),
    (hs.open_images, options.OpenOptions),
    (hs.load, options.ComputeOptions),
    (hs.export, options.ExportOptions),
    (hs.Classifier.fine_tune, options.TuneOptions),
]


def plain(annotation: Any) -> Any:
    """Strip pydantic's annotations from a type; a path may be text."""
    if get_origin(annotation) is Annotated:
        return plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return Union[tuple(map(plain, get_args(annotation)))]  # noqa: UP007
    return str | Path if annotation is Path else annotation


@pytest.mark.parametrize(("values", "names"), PAIRS, ids=lambda value: value.__name__)
def test_keywords_are_the_options(values: type[Options], names: type) -> None:
    """Each option is a keyword of the same type, and there are no other keywords."""
    expected = {name: plain(field.annotation) for name, field in values.model_fields.items()}
    assert get_type_hints(names) == expected
    assert not names.__required_keys__


def test_each_function_has_its_keywords() -> None:
    """There are keywords for the options of each function of the library."""
    assert {values for _, values in FUNCTIONS} <= {values for values, _ in PAIRS}


@pytest.mark.parametrize(("function", "values"), FUNCTIONS)
def test_the_signature_has_each_option_with_its_default(function, values: type[Options]) -> None:
    """`inspect.signature`, which notebooks complete from, shows every option and no **options."""
    parameters = inspect.signature(function).parameters
    assert "options" not in parameters
    for name, field in values.model_fields.items():
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default == field.default


@pytest.mark.parametrize(("function", "values"), FUNCTIONS)
def test_help_describes_each_option(function, values: type[Options]) -> None:
    """`help` has an entry for each option."""
    text = pydoc.plain(pydoc.render_doc(function))
    for name in values.model_fields:
        assert f"\n        {name}: " in text, name


def test_the_entry_of_an_option() -> None:
    """An entry has the description, with other options as in Python, and the default."""
    text = " ".join(str(hs.train.__doc__).split())
    assert (
        "backbone: Pretrained network, such as resnet50 or hf-hub:OWNER/NAME, or auto to choose "
        "among backbones by your images. Default: 'efficientnet-lite0'. weights:"
    ) in text
    assert "minutes: Time limit, in minutes (default: 10 with tune auto, otherwise none)." in text


def test_other_parameters_stay() -> None:
    """The parameters of the function come first, with their own defaults and text."""

    @with_keywords(OpenOptions, keywords.OpenKeywords)
    def find(data: str, *, limit: int = 3, **options: object) -> int:
        """Find images."""
        return limit

    assert list(inspect.signature(find).parameters)[:2] == ["data", "limit"]
    assert str(find.__doc__).startswith("Find images.\n\nOptions:\n    ")
    assert find("photos", limit=4) == 4


def test_options_come_panel_by_panel() -> None:
    """The order is that of the command line's help."""
    names = list(inspect.signature(hs.train).parameters)[3:]
    panels = [list(options.Panel).index(TrainOptions.panel_of(name)) for name in names]
    assert panels == sorted(panels)
