"""A backbone starts from the one in a detector of torchvision, and computes the same maps."""

from argparse import Namespace

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import max_pool2d
from torchvision.models import detection
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.misc import FrozenBatchNorm2d

from headstart.backbones.backbone import load_backbone
from headstart.backbones.detectors import detector_body, is_detector
from headstart.errors import WeightsError

SIZE = 64


def built(build, **named):
    """Return a detector in evaluation mode, whose norms have statistics as if it were trained."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        detector = build(weights=None, weights_backbone=None, num_classes=3, **named)
        for name, tensor in detector.backbone.state_dict().items():
            if name.endswith("running_mean"):
                torch.nn.init.uniform_(tensor, -0.5, 0.5)
            if name.endswith("running_var"):
                torch.nn.init.uniform_(tensor, 0.5, 1)
    return detector.eval()


def with_frozen_norms(**named):
    """Return a RetinaNet on ResNet-18 whose norms are frozen, as in most of the COCO weights."""
    body = resnet_fpn_backbone(backbone_name="resnet18", weights=None, norm_layer=FrozenBatchNorm2d)
    return detection.RetinaNet(body, num_classes=named["num_classes"])


def body_map(detector, images):
    """Return the last map of a detector's body."""
    if hasattr(detector.backbone, "body"):
        return list(detector.backbone.body(images).values())[-1]
    # SSD's VGG has no last pooling, which timm's has.
    last = detector.backbone.extra[0][:-1](detector.backbone.features(images))
    return max_pool2d(last, 2)


def normalised(mean, std):
    """Return an image, normalised."""
    pixels = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


@pytest.fixture(scope="module")
def resnet18():
    """Return a RetinaNet on ResNet-18 with frozen norms."""
    return built(with_frozen_norms)


@pytest.mark.parametrize(
    ("name", "build", "save"),
    [
        ("resnet18", with_frozen_norms, torch.save),
        ("resnet50", detection.fasterrcnn_resnet50_fpn, torch.save),
        ("mobilenet-v3-large", detection.fasterrcnn_mobilenet_v3_large_fpn, torch.save),
        ("mobilenet-v3-large", detection.fasterrcnn_mobilenet_v3_large_fpn, save_file),
        ("vgg16", detection.ssd300_vgg16, torch.save),
    ],
)
def test_the_backbone_computes_the_map_of_the_detector_s_body(tmp_path, name, build, save):
    """From the same pixels, each with its own normalisation, both compute the same map."""
    detector = built(build)
    file = tmp_path / ("detector.safetensors" if save is save_file else "detector.pth")
    save(detector.state_dict(), file)  # Safetensors sorts the names.
    backbone = load_backbone(name, weights=file, image_size=SIZE)
    ours = normalised(backbone.preprocess.mean, backbone.preprocess.std)
    theirs = normalised(detector.transform.image_mean, detector.transform.image_std)
    with torch.inference_mode():
        expected = body_map(detector, theirs)
        found = backbone.network.forward_features(ours)
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("build", "name", "architecture"),
    [
        ("fasterrcnn_resnet50_fpn", "resnet50", "resnet50.tv_in1k"),
        ("fasterrcnn_resnet50_fpn_v2", "resnet50", "resnet50.a1_in1k"),
        ("retinanet_resnet50_fpn", "resnet50", "resnet50"),
        ("retinanet_resnet50_fpn_v2", "resnet50", "resnet50"),
        ("maskrcnn_resnet50_fpn", "resnet50", "resnet50"),
        ("maskrcnn_resnet50_fpn_v2", "resnet50", "resnet50"),
        ("keypointrcnn_resnet50_fpn", "resnet50", "resnet50"),
        ("fcos_resnet50_fpn", "resnet50", "resnet50"),
        ("fasterrcnn_mobilenet_v3_large_fpn", "mobilenet-v3-large", "mobilenetv3_large_100"),
        ("fasterrcnn_mobilenet_v3_large_320_fpn", "mobilenet-v3-large", "mobilenetv3_large_100"),
        ("ssd300_vgg16", "vgg16", "vgg16.tv_in1k"),
    ],
)
def test_detectors_of_torchvision(build, name, architecture):
    """The body of each of torchvision's detectors with COCO weights fits, except SSDLite's."""
    with torch.device("meta"):
        detector = getattr(detection, build)(weights=None, weights_backbone=None)
    state = detector.state_dict()
    assert is_detector(state)
    body = detector_body(state, architecture, name, "detector.pth")
    used = [tensor for key, tensor in state.items() if key.startswith("backbone.")]
    assert all(any(tensor is other for other in used) for tensor in body.state.values())
    assert body.normalisation.mean == tuple(detector.transform.image_mean)
    assert body.normalisation.std == tuple(detector.transform.image_std)


def test_what_is_not_used_is_said(resnet18, tmp_path):
    """A note names the file, and says that only its backbone is used."""
    file, notes = tmp_path / "detector.pth", []
    torch.save(resnet18.state_dict(), file)
    load_backbone("resnet18", weights=file, note=notes.append)
    assert notes == [
        f"Only the backbone of the detector in '{file}' is used, not its pyramid and head."
    ]
    load_backbone("resnet18", weights="random", note=notes.append)
    assert len(notes) == 1


def test_a_checkpoint_of_torchvision_s_training_script(resnet18, tmp_path):
    """The tensors may be in a checkpoint, beside the options of the script and other values."""
    state = resnet18.state_dict()
    torch.save(state, tmp_path / "plain.pth")
    checkpoint = {"model": state, "epoch": 3, "optimizer": {"state": {}}, "args": Namespace(lr=0.1)}
    torch.save(checkpoint, tmp_path / "checkpoint.pth")
    plain, whole = (
        load_backbone("resnet18", weights=tmp_path / name).weights_sha256()
        for name in ("plain.pth", "checkpoint.pth")
    )
    assert plain == whole


def test_grey_images(resnet18, tmp_path):
    """The first convolution is adapted to the number of channels, like that of other weights."""
    torch.save(resnet18.state_dict(), tmp_path / "detector.pth")
    backbone = load_backbone("resnet18", weights=tmp_path / "detector.pth", channels=1)
    expected = resnet18.backbone.body.conv1.weight.sum(1, keepdim=True)
    torch.testing.assert_close(backbone.network.conv1.weight, expected)


@pytest.mark.parametrize("name", ["efficientnet-lite0", "resnet50", "resnetblur18"])
def test_another_backbone(resnet18, tmp_path, name):
    """The error names the backbone of the detector and the one that was asked for."""
    file = tmp_path / "detector.pth"
    torch.save(resnet18.state_dict(), file)
    with pytest.raises(WeightsError) as caught:
        load_backbone(name, weights=file)
    assert str(caught.value) == (
        f"Weights '{file}' are of a detector with backbone 'resnet18', not '{name}'. "
        "Use --backbone resnet18."
    )


def test_a_detector_whose_backbone_is_unknown(tmp_path):
    """The error says which detectors can be used. SSDLite's MobileNet is smaller than timm's."""
    file = tmp_path / "ssdlite.pth"
    torch.save(built(detection.ssdlite320_mobilenet_v3_large).state_dict(), file)
    with pytest.raises(WeightsError) as caught:
        load_backbone("mobilenet-v3-large", weights=file)
    assert str(caught.value) == (
        f"Weights '{file}' are of a detector whose backbone cannot be used with "
        "'mobilenet-v3-large'. Of torchvision's detectors, those with a pyramid on a ResNet, a "
        "ResNeXt or mobilenet-v3-large can be used, and SSD300 on vgg16; SSDLite cannot."
    )


def test_names_like_a_detector_s_without_a_head(tmp_path):
    """A file without the head of a detector is compared with the network by its names."""
    save_file({"backbone.body.conv1.weight": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"do not match backbone 'test_efficientnet': conv_stem"):
        load_backbone("test_efficientnet", weights=tmp_path)
