"""Licences of weights: timm's identifiers, and whether they allow commercial use."""

import subprocess
import sys

import pytest
import timm
from timm.models import get_pretrained_cfg

from headstart.backbones.backbone import load_backbone
from headstart.backbones.licences import (
    allows_commercial_use,
    describe_licence,
    licence_of,
    licence_warning,
)


@pytest.mark.parametrize("licence", ["apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0"])
def test_a_permissive_licence(licence):
    """Commercial use is allowed, so there is no warning."""
    assert allows_commercial_use(licence) is True
    assert describe_licence(licence) == f"licence {licence}"
    assert licence_warning("vgg16", licence) is None


@pytest.mark.parametrize(
    "licence",
    ["cc-by-nc-4.0", "cc-by-nc-sa-4.0", "fair-noncommercial-research-license", "apple-amlr"],
)
def test_a_licence_that_does_not_allow_commercial_use(licence):
    """The warning names the backbone and the licence."""
    assert allows_commercial_use(licence) is False
    assert licence_warning("convnextv2_atto", licence) == (
        f"Weights of 'convnextv2_atto': licence {licence}, which does not allow commercial use."
    )


@pytest.mark.parametrize("licence", ["dinov3-license", "gemma", "apple-ascl", "seer-license"])
def test_a_licence_with_terms_of_its_own(licence):
    """Its name does not say whether commercial use is allowed."""
    assert allows_commercial_use(licence) is None
    assert (
        describe_licence(licence) == f"licence {licence}, whose terms may restrict commercial use"
    )


def test_an_unknown_licence_is_reported():
    """There is a warning for unknown licences, but not for the user's own files."""
    assert licence_warning("x", "unknown") == "Weights of 'x': licence unknown."
    assert licence_warning("x", "other") == "Weights of 'x': licence unknown."
    assert licence_warning("x", None) is None
    assert describe_licence(None) == "licence unknown"


@pytest.mark.parametrize(
    ("architecture", "weights", "licence"),
    [
        ("convnextv2_atto.fcmae_ft_in1k", "imagenet", "cc-by-nc-4.0"),
        ("tf_efficientnet_lite0.in1k", "imagenet", "apache-2.0"),
        ("res2net50_26w_4s.in1k", "imagenet", "unknown"),
        ("tf_efficientnet_lite0.in1k", "random", None),
        ("tf_efficientnet_lite0.in1k", "/home/me/model.safetensors", None),
        ("tf_efficientnet_lite0.in1k", "hf-hub:me/model", "unknown"),
    ],
)
def test_the_licence_of_weights(architecture, weights, licence):
    """ImageNet weights have timm's licence; that of random weights and files is not known."""
    assert licence_of(architecture, weights) == licence


def test_every_non_commercial_licence_of_timm_is_recognised():
    """Exactly these identifiers do not allow commercial use."""
    licences = {str(get_pretrained_cfg(name).license) for name in timm.list_pretrained()}
    assert {licence for licence in licences if allows_commercial_use(licence) is False} == {
        "cc-by-nc-4.0",
        "fair-noncommercial-research-license",
        "apple-amlr",
    }


def test_a_backbone_knows_its_licence():
    """The licence depends on the weights that were loaded."""
    assert load_backbone("efficientnet-lite0").licence == "apache-2.0"
    assert load_backbone("test_resnet", weights="random").licence is None


def test_licences_are_described_without_timm():
    """timm is only imported to look up a licence."""
    code = "import sys, headstart.backbones.licences; print('timm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
