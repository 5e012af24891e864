"""Groups of images by a regular expression on their paths."""

import re
from dataclasses import replace

from headstart.data.listing import Source
from headstart.data.manifest import Entry
from headstart.errors import OptionError


def is_path_pattern(group: str) -> bool:
    """Return whether the user means a regular expression, which has parentheses."""
    return "(" in group


def grouped_by_path(source: Source, group: str | None) -> Source:
    """Group images by what a regular expression matches in their paths.

    Args:
        source: The images.
        group: The regular expression, with one group; None changes nothing.

    Raises:
        OptionError: It is not valid, does not have one group, or matches no path.
    """
    if group is None:
        return source
    entries, pattern = source.entries, _group_pattern(group)
    grouped = [replace(entry, group=_match(pattern, entry)) for entry in entries]
    if entries and all(entry.group is None for entry in grouped):
        raise OptionError(
            f"--group '{group}' matches no image's path. The first path is '{entries[0].image}'."
        )
    found = len({entry.group for entry in grouped if entry.group is not None})
    sentence = f"Groups: {found:,} different matches of '{group}' in the paths."
    return replace(source, entries=grouped, understood=(*source.understood, sentence))


def _group_pattern(group: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise OptionError(
            f"--group '{group}' is not a valid regular expression: {error}."
        ) from None
    if pattern.groups != 1:
        raise OptionError(
            f"--group '{group}' must have exactly one (group) to match in the path, "
            "such as '(patient[0-9]+)'. Only a table has columns to name instead."
        )
    return pattern


def _match(pattern: re.Pattern[str], entry: Entry) -> str | None:
    match = pattern.search(entry.image)
    return match.group(1) if match else None
