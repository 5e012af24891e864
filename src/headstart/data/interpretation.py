"""How data is to be understood, as far as the user or a trained model says so."""

from dataclasses import dataclass, field

from headstart.data.labelling import Labelling
from headstart.data.medical.volumes import Reading


@dataclass(frozen=True)
class Interpretation:
    """What the user or a trained model says about data; see the options of the same meaning.

    Attributes:
        labelling: How labels are read.
        group: A column of the table, or a regular expression on the image's path.
        slices: The columns of the table by which results are sliced.
        reading: How medical images are read; None for the default.
    """

    labelling: Labelling = field(default_factory=Labelling)
    group: str | None = None
    slices: tuple[str, ...] = ()
    reading: Reading | None = None
