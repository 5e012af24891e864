"""Heat maps add up to the score, and point at what decides the class."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

import headstart as hs
from headstart.data.orientations import orient
from headstart.errors import OptionError
from headstart.explanations.heat_maps import heat_maps
from headstart.features.extractor import FeatureExtractor
from headstart.heads.fitted import BlendModel, LinearModel, StackModel
from headstart.tasks.multi import Multi
from tests.conftest import TASK
from tests.explanations.curves import areas
from tests.explanations.planting import hits, plant, write

SIZE = 64
TINY = ("test_resnet", "test_efficientnet", "test_vit", "test_convnext")


def noise(count=2, size=SIZE):
    """Return noisy preprocessed images, read-only like those of `Preprocess.pixels`."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    pixels.flags.writeable = False
    return pixels


def linear(width, classes=3, seed=0):
    """Return a linear head with random weights."""
    rng = np.random.default_rng(seed)
    mean, weight, bias = (rng.normal(size=size) for size in (width, (width, classes), classes))
    values = (mean, np.full(width, 2.0), weight, bias)
    return LinearModel(*(value.astype(np.float32) for value in values))


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Return a function that makes a model on a tiny network, with a head of random weights."""
    cache = tmp_path_factory.mktemp("cache")

    def make(name="test_resnet", features="multilevel", task=TASK, head=None, **options):
        backbone = hs.load_backbone(name, weights="random", image_size=SIZE, **options)
        reads = "map" if features == "flatten" else "stages"
        extractor = FeatureExtractor(backbone, cache=cache, precision="float32", reads=reads)
        head = head or linear(extractor.layout.columns(features).stop)
        return hs.Predictor(task, ("a", "b", "c"), extractor, features, "float32", head, 1.5)

    return make


def scores(model, pixels):
    """Return calibrated scores, in eager PyTorch."""
    with torch.inference_mode():
        features = model.extractor.pooling(torch.tensor(pixels)).numpy()
    return model.scores(features) / np.float32(model.temperature)


def margin(scores, number):
    """Return the score of a class minus the mean of the other two."""
    return scores[:, number] - (scores.sum(axis=1) - scores[:, number]) / 2


@pytest.mark.parametrize("features", ["last", "multilevel", "flatten"])
def test_a_map_of_a_transformer(make, features):
    """It has a cell for each token, and depends on the class."""
    model, pixels = make("test_vit", features), noise()
    heat = heat_maps(model, pixels, [1, 0])
    side = pixels.shape[1] // 16
    assert heat.shape == (2, side, side)
    assert heat[0].std() > 0
    assert not np.allclose(heat[0], heat_maps(model, pixels, [0, 0])[0])


@pytest.mark.parametrize("name", sorted(set(TINY) - {"test_vit"}))
@pytest.mark.parametrize("features", ["last", "multilevel", "flatten"])
def test_a_map_adds_up_to_the_score(make, name, features):
    """The sum is the score minus that of the mean training image."""
    model, pixels = make(name, features), noise()
    heat = heat_maps(model, pixels, [1, 1])
    assert heat.shape == (2, *heat.shape[1:]) and heat.dtype == np.float32
    assert heat.shape[1] == heat.shape[2] > 1
    reference = margin(model.head.logits(model.head.mean[np.newaxis]) / 1.5, 1)
    expected = margin(scores(model, pixels), 1) - reference
    np.testing.assert_allclose(heat.sum(axis=(1, 2)), expected, rtol=1e-3, atol=1e-3)
    assert heat.std() > 0


def test_the_contribution_of_a_position_is_exact(make):
    """Of a linear head on the mean of a map, each position has its share of the weighted sum."""
    model = make()
    columns, start = {}, 0
    for name, width in model.extractor.layout.blocks:
        columns[name], start = slice(start, start + width), start + width
    weight = np.zeros_like(model.head.weight)
    own = columns["stage4.mean"]
    weight[own] = model.head.weight[own]
    model = replace(model, head=replace(model.head, weight=weight))
    pixels = noise()
    heat = heat_maps(model, pixels, [0, 0])
    with torch.inference_mode():
        (maps,) = model.extractor.pooling.maps(torch.tensor(pixels))
    stage = maps.stages[3].numpy()
    direction = weight[own, 0] - weight[own, 1:].mean(axis=1)
    values = (stage - model.head.mean[own, np.newaxis, np.newaxis]) / 2 / 1.5
    expected = np.einsum("nchw,c->nhw", values, direction) / stage[0, 0].size
    np.testing.assert_allclose(heat, expected, atol=1e-4)


FITTED = {
    "kernel": hs.KernelHead(),
    "mlp": hs.MLPHead(hidden=8, epochs=5),
    "nearest": hs.NearestHead(),
    "auto": hs.AutoHead(),
}


@pytest.fixture(scope="module")
def make_fitted(tmp_path_factory):
    """Return a function that fits a head on planted images, and their pixels."""
    folder, cache = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("cache")
    planted = [one for one in plant(40, SIZE, seed=0) if one.target < 2]
    data = hs.open_images(write(folder, planted), cache=cache, test=0.2, progress=False)
    backbone = hs.load_backbone("test_resnet", weights="random", image_size=SIZE)

    def fit(head, **options):
        options |= {"precision": "float32", "cache": cache, "classes": data.classes}
        return hs.Classifier(backbone, head, **options).fit(data.train, progress=False).predictor

    def make(kind):
        if kind in FITTED:
            model = fit(FITTED[kind])
        else:
            model, kernel = fit(hs.LinearHead()), fit(hs.KernelHead(), features="last").head
            head = (
                BlendModel(model.head, kernel, 1.5, 0.7)
                if kind == "blend"
                else StackModel((model.head, kernel), (0.3, 0.7), (1.5, 0.7))
            )
            model = replace(model, head=head, features="multilevel")
        return model, np.stack([np.asarray(one.image) for one in planted[:2]])

    return make


@pytest.mark.parametrize("kind", [*FITTED, "stack", "blend"])
def test_every_head_is_explained(make_fitted, kind):
    """With two classes, what supports one speaks against the other, for every kind of head."""
    model, pixels = make_fitted(kind)
    first, second = heat_maps(model, pixels, [0, 0]), heat_maps(model, pixels, [1, 1])
    assert np.isfinite(first).all() and first.std() > 0
    np.testing.assert_allclose(first, -second, rtol=1e-3, atol=1e-5)
    differences = scores(model, pixels)[:, 0] - scores(model, pixels)[:, 1]
    # The reference is the same for both images.
    np.testing.assert_allclose(np.diff(first.sum(axis=(1, 2))), np.diff(differences), atol=1e-3)


@pytest.mark.parametrize("orientations", ["mirror", "dihedral"])
def test_maps_of_averaged_orientations_turn_with_the_image(make, orientations):
    """The features of a turned image are the same, and its map is the turned map."""
    model, pixels = make(orientations=orientations), torch.tensor(noise())
    heat = heat_maps(model, pixels.numpy(), [2, 0])
    for number in range(2 if orientations == "mirror" else 8):
        turned = heat_maps(model, orient(pixels, number).contiguous().numpy(), [2, 0])
        expected = orient(torch.tensor(heat)[..., None], number)[..., 0]
        np.testing.assert_allclose(turned, expected, atol=1e-3)


def test_two_scales_are_added(make):
    """Maps of the smaller scale are part of the sum."""
    model, pixels = make("test_resnet", "scales", scales="two"), noise()
    heat = heat_maps(model, pixels, [1, 1])
    reference = margin(model.head.logits(model.head.mean[np.newaxis]) / 1.5, 1)
    expected = margin(scores(model, pixels), 1) - reference
    np.testing.assert_allclose(heat.sum(axis=(1, 2)), expected, rtol=1e-3, atol=1e-3)


def test_a_label_among_several_is_explained_by_itself(make):
    """With several labels per image, the map adds up to the label's own logit."""
    model, pixels = make(task=Multi()), noise()
    model = replace(model, temperature=(1.0, 2.0, 3.0))
    heat = heat_maps(model, pixels, [0, 1])
    reference = model.head.logits(model.head.mean[np.newaxis]) / np.float32(model.temperature)
    expected = np.diagonal(scores(model, pixels) - reference)
    np.testing.assert_allclose(heat.sum(axis=(1, 2)), expected, rtol=1e-3, atol=1e-3)


def test_a_map_does_not_depend_on_the_batch(make):
    """Many images are explained like one."""
    model, pixels = make(), noise(count=11)
    together = heat_maps(model, pixels, np.arange(11) % 3)
    alone = heat_maps(model, pixels[9:10], [0])
    np.testing.assert_allclose(together[9:10], alone, atol=1e-4)


def test_the_network_is_left_as_it_was(make):
    """No hooks and no gradients remain, and predictions are the same."""
    model, pixels = make(), noise()
    network = model.extractor.backbone.network.requires_grad_(True)
    before = scores(model, pixels)
    heat_maps(model, pixels, [0, 0])
    np.testing.assert_array_equal(scores(model, pixels), before)
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("number", [-1, 3])
def test_a_class_out_of_range(make, number):
    """The error names the range."""
    with pytest.raises(OptionError) as caught:
        heat_maps(make(), noise(), [0, number])
    assert str(caught.value) == f"A class number must be from 0 to 2. Got {number}."


def test_a_class_for_each_image(make):
    """One class for two images is an error."""
    with pytest.raises(OptionError) as caught:
        heat_maps(make(), noise(), [0])
    assert str(caught.value) == (
        "There must be one class number for each of at least one image. Got 1 for 2 images."
    )


@pytest.fixture(scope="module")
def planted_model(tmp_path_factory):
    """Return a model of planted patches on the weights of ImageNet, and new images."""
    folder, cache = tmp_path_factory.mktemp("planted"), tmp_path_factory.mktemp("cache")
    options = {"size": 192, "distractors": ["page"]}
    write(folder, plant(200, seed=0, **options))
    data = hs.open_images(folder, cache=cache, test=0.1, progress=False)
    backbone = hs.load_backbone("efficientnet-lite0", image_size=192)
    head = {"classes": data.classes, "cache": cache, "precision": "float32"}
    model = hs.Classifier(backbone, hs.LinearHead(), **head).fit(data.train, progress=False)
    return model.predictor, plant(30, seed=1, **options)


def pointing(model, planted):
    """Return the share of maps that point at the patch of the class."""
    pixels = np.stack([np.asarray(one.image) for one in planted])
    return hits(planted, heat_maps(model, pixels, [one.target for one in planted])).mean()


def test_maps_point_at_the_patch_that_decides_the_class(planted_model):
    """The hottest cell is inside the patch, not on the distractor."""
    assert pointing(*planted_model) >= 0.9


def test_maps_of_random_heads_and_networks_do_not(planted_model, tmp_path):
    """What is learnt decides the map, not the image alone (Adebayo et al., 2018)."""
    model, planted = planted_model
    shuffled = []
    for seed in range(3):
        weight = np.random.default_rng(seed).permuted(model.head.weight, axis=0)
        other = replace(model, head=replace(model.head, weight=weight))
        shuffled.append(pointing(other, planted))
    network = hs.load_backbone("efficientnet-lite0", weights="random", image_size=192)
    extractor = FeatureExtractor(network, cache=tmp_path, precision="float32")
    assert np.mean(shuffled) <= 0.3
    assert pointing(replace(model, extractor=extractor), planted) <= 0.3


def test_deletion_and_insertion_beat_a_random_order(planted_model):
    """Deleting hot cells first lowers the probability sooner, and inserting them raises it."""
    model, planted = planted_model
    rng, rows = np.random.default_rng(0), []
    for one in planted[:6]:
        pixels = np.asarray(one.image)
        (heat,) = heat_maps(model, pixels[np.newaxis], [one.target])
        order = partial(areas, model, pixels, target=one.target)
        rows.append(
            [order(heat=heat), order(heat=rng.permutation(heat.ravel()).reshape(heat.shape))]
        )
    (deletion, insertion), (random_deletion, random_insertion) = np.mean(rows, axis=0)
    assert deletion < random_deletion - 0.05
    assert insertion > random_insertion + 0.05
