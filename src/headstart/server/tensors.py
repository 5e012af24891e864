"""The outputs of the Open Inference Protocol."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from headstart.arrays import Anything

TEXT = "BYTES"
"""The type of texts and files, in the words of the protocol."""


@dataclass(frozen=True)
class Tensor:
    """One output.

    Attributes:
        name: Its name.
        datatype: Its type, in the words of the protocol.
        values: The values, (images, …).
    """

    name: str
    datatype: str
    values: Anything

    @property
    def shape(self) -> list[int]:
        """The shape for any number of images."""
        return [-1, *self.values.shape[1:]]

    def binary(self) -> bytes:
        """Return the values as bytes; each text follows its length."""
        if self.datatype != TEXT:
            return self.values.tobytes()
        encoded = [str(text).encode() for text in self.values.ravel()]
        return b"".join(struct.pack("<I", len(text)) + text for text in encoded)
