"""dlib's network for faces, which only galleries use: it has no stages, and cannot be trained."""

from headstart.backbones.saved import SavedBackbone
from headstart.data.contract import PixelContract
from headstart.data.faces import NETWORK, SHA256, require_faces
from headstart.data.preprocessing import Preprocess

DLIB_FACE = "dlib-face"
"""The name of the network, and of its architecture."""

_SIDE, _WIDTH = 150, 128


def dlib_face() -> SavedBackbone:
    """Return dlib's network, whose weights stay in the package that they were installed with.

    Raises:
        OptionError: The extra `faces` is not installed.
    """
    require_faces()
    preprocess = Preprocess(_SIDE, contract=PixelContract(crop="face"))
    blocks = (("output", _WIDTH),)
    return SavedBackbone(
        *(DLIB_FACE, DLIB_FACE, "face-recognition-models", "CC0-1.0", preprocess),
        tensors={},
        weights_sha256=SHA256[NETWORK],
        blocks=blocks,
    )
