"""What a stored feature depends on. Anything that changes a feature changes this; nothing else."""

from dataclasses import asdict, dataclass, replace

from headstart.data.decoding import DECODER_VERSION
from headstart.data.preprocessing import Preprocess
from headstart.engines.engine import ROUNDING_VERSION
from headstart.files import digest


@dataclass(frozen=True)
class Fingerprint:
    """Everything that a feature depends on, besides the image's bytes.

    Attributes:
        architecture: timm's name.
        weights: sha256 of the tensors.
        blocks: Which layers are read and how they are pooled, with widths.
        preprocess: What happens to the pixels first.
        precision: "bf16" or "float32".
        decoder: Version of the decode contract.
        rounding: Version of how weights are brought to bf16.
    """

    architecture: str
    weights: str
    blocks: tuple[tuple[str, int], ...]
    preprocess: Preprocess
    precision: str
    decoder: int = DECODER_VERSION
    rounding: int = ROUNDING_VERSION

    def to_dict(self) -> dict[str, object]:
        """Return plain JSON values."""
        return asdict(self) | {
            "preprocess": self.preprocess.to_dict(),
            "blocks": [list(block) for block in self.blocks],
        }

    @property
    def network_key(self) -> str:
        """Names the converted network, which is the same in any precision."""
        return replace(self, precision="any").key

    @property
    def key(self) -> str:
        """The sha256 of all of it, in hexadecimal digits."""
        return digest(self.to_dict())
