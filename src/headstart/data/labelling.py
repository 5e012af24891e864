"""How labels are to be read, as far as the user or a trained model says so."""

from collections.abc import Collection
from dataclasses import dataclass

from headstart.errors import OptionError
from headstart.options import TaskOption, UncertainOption


@dataclass(frozen=True)
class Labelling:
    """What is said about the labels; see the options of the same meaning.

    Attributes:
        task: Whether an image has one label or several; "auto" if the data decides.
        labels: The columns with one label each; None if not given.
        label_separator: What separates the labels in a cell; None if not given.
        uncertain: What -1 means; None if not given.
        known: The classes of a trained model, if there is one.
    """

    task: TaskOption = "auto"
    labels: str | None = None
    label_separator: str | None = None
    uncertain: UncertainOption | None = None
    known: Collection[str] = ()

    def check(self, why: str, effective: Collection[str] = ()) -> None:
        """Refuse options that have no effect.

        Args:
            why: The end of the message "--uncertain 'present' has no effect …".
            effective: The options that do have an effect.

        Raises:
            OptionError: Another option is given.
        """
        for name in ("labels", "label_separator", "uncertain"):
            value = getattr(self, name)
            if value is not None and name not in effective:
                flag = name.replace("_", "-")
                raise OptionError(f"--{flag} '{value}' has no effect {why}. Remove it.")
