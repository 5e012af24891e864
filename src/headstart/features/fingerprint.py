"""Everything that a stored feature depends on. It changes if and only if a feature may change."""

from dataclasses import asdict, dataclass, replace

from headstart.data.contract import CURRENT, FIRST
from headstart.data.preprocessing import Preprocess
from headstart.engines.engine import ROUNDING_VERSION
from headstart.files import digest


@dataclass(frozen=True)
class Fingerprint:
    """Everything that a feature depends on, except the image's bytes.

    Attributes:
        architecture: timm's name.
        weights: sha256 of the weights.
        blocks: Name and width of each block of features.
        preprocess: The preprocessing of the pixels.
        precision: "bf16" or "float32".
        rounding: Version of the rounding of weights to bf16.
    """

    architecture: str
    weights: str
    blocks: tuple[tuple[str, int], ...]
    preprocess: Preprocess
    precision: str
    rounding: int = ROUNDING_VERSION

    def to_dict(self) -> dict[str, object]:
        """Convert to plain JSON values.

        The version of the pixel contract is called "decoder", and white, the first window, whole
        images and a single scale are left out, so that keys from before there were contracts or
        scales remain valid.
        """
        preprocess = self.preprocess.to_dict()
        contract = self.preprocess.contract
        del preprocess["contract"]
        if self.preprocess.scales == "one":
            del preprocess["scales"]
        if contract.background != CURRENT.background:
            preprocess["background"] = contract.background
        if contract.window != CURRENT.window:
            preprocess["window"] = contract.window
        if contract.crop != CURRENT.crop:
            preprocess["faces"] = contract.crop
        return asdict(self) | {
            "preprocess": preprocess,
            "decoder": contract.version,
            "blocks": [list(block) for block in self.blocks],
        }

    @property
    def network_key(self) -> str:
        """Key of the converted network, which is the same for all precisions and contracts."""
        preprocess = replace(self.preprocess, contract=FIRST)
        return replace(self, precision="any", preprocess=preprocess).key

    @property
    def key(self) -> str:
        """The sha256 of all values, in hexadecimal digits."""
        return digest(self.to_dict())
