"""Options classes become a command's parameters, so that each option is written once."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from headstart.options import Options

Command = Callable[..., None]


def takes(options: type[Options]) -> Callable[[Command], Command]:
    """Return a command all options of a class; it receives them built, as the keyword `options`."""

    def decorate(command: Command) -> Command:
        own = [
            parameter
            for name, parameter in inspect.signature(command, eval_str=True).parameters.items()
            if name != "options"
        ]
        added = [_parameter(name, field) for name, field in options.model_fields.items()]

        def run(**arguments: Any) -> None:  # noqa: ANN401
            values = {name: arguments.pop(name) for name in options.model_fields}
            command(**arguments, options=options.of(**values))

        run.__name__, run.__doc__ = command.__name__, command.__doc__
        parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own + added]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    kind = _plain(field.annotation)
    flag = f"--{name.replace('_', '-')}"
    option = typer.Option(flag, help=field.description, show_default=field.default is not None)
    annotation = Annotated.__class_getitem__((kind, option))  # type: ignore[attr-defined]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=annotation
    )


def _plain(annotation: Any) -> Any:  # noqa: ANN401
    """Take pydantic's own annotations off a type."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if type(None) in get_args(annotation) and len(parts) == 1:
        inner = _plain(parts[0])
        return Path | None if inner is Path else inner | None
    return annotation
