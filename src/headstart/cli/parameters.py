"""Turn options classes into command parameters, so that each option is defined once."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from typer.core import TyperCommand, TyperOption
from typer.models import OptionInfo

from headstart.keywords import set_signature
from headstart.options import Options, Panel

Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print the result as JSON to stdout and everything else to stderr.",
        metavar="",
        rich_help_panel=Panel.OUTPUT,
    ),
]
"""The option of every command whose result may be JSON."""


class Command(TyperCommand):
    """A command that lists --help next to --json instead of above all other options."""

    def get_help_option(self, ctx: Any) -> TyperOption | None:  # noqa: ANN401
        """Return the help option, assigned to its panel."""
        option = super().get_help_option(ctx)
        if option:
            option.rich_help_panel, option.metavar = Panel.OUTPUT, ""
        return option


def with_options(options: type[Options]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Create a decorator that adds all options of a class to a command.

    The command receives the built options as the keyword argument `options`.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [
            parameter
            for name, parameter in inspect.signature(command, eval_str=True).parameters.items()
            if name != "options"
        ]
        added = [_parameter(name, options) for name in options.model_fields]

        def run(context: typer.Context, **arguments: Any) -> None:  # noqa: ANN401
            values = {name: arguments.pop(name) for name in options.model_fields}
            given = {name: values[name] for name in values if _is_given(context, name)}
            command(**arguments, options=options.of(**given))

        run.__name__, run.__doc__ = command.__name__, command.__doc__
        parameters = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in added + own
        ]
        context = inspect.signature(run).parameters["context"]
        ordered = [context, *sorted(parameters, key=_help_order)]
        set_signature(run, inspect.Signature(ordered))
        return run

    return decorate


def _parameter(name: str, options: type[Options]) -> inspect.Parameter:
    field = options.model_fields[name]
    kind = _without_annotations(field.annotation)
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        help=_help(field),
        metavar="" if kind is bool else "<choice>" if get_origin(kind) is Literal else None,
        show_default=False,
        rich_help_panel=options.panel_of(name),
    )
    annotation = Annotated.__class_getitem__((kind, option))  # type: ignore[attr-defined]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=annotation
    )


def _help(field: FieldInfo) -> str:
    """Return the description of an option with its choices and its default, as Rich markup.

    Typer itself would print the default on a separate line.
    """
    notes = []
    if get_origin(field.annotation) is Literal:
        notes.append(f"\\[{'|'.join(get_args(field.annotation))}]")
    if not isinstance(field.default, bool) and field.default not in (None, ""):
        notes.append(f"(default: {field.default})")
    return f"{field.description} [dim]{' '.join(notes)}[/]" if notes else str(field.description)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _help_order(parameter: inspect.Parameter) -> int:
    """Return the position of a parameter in the help: arguments first, then panel by panel."""
    for metadata in get_args(parameter.annotation):
        if isinstance(metadata, OptionInfo):
            return 1 + list(Panel).index(Panel(str(metadata.rich_help_panel)))
    return 0


def _without_annotations(annotation: Any) -> Any:  # noqa: ANN401
    """Strip pydantic's annotations from a type."""
    if get_origin(annotation) is Annotated:
        return _without_annotations(get_args(annotation)[0])
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if type(None) in get_args(annotation) and len(parts) == 1:
        inner = _without_annotations(parts[0])
        return Path | None if inner is Path else inner | None
    return annotation
