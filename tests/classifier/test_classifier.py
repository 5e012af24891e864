"""The classifier: fit, predict, evaluate, save and load."""

import io
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
from PIL import Image

import headstart as hs
from headstart.backbones.backbone import load_backbone
from headstart.classifier import Classifier
from headstart.errors import BundleError, DataError, OptionError, OutputError, UnreadableImage
from headstart.heads.specs import AutoHead, KernelHead, LinearHead, MLPHead, NearestHead
from tests.conftest import COLOURS, TASK, picture
from tests.data.opened import open_images
from tests.report.test_page import metrics, record

TINY = "test_resnet"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Open a folder of red and blue pictures."""
    root = tmp_path_factory.mktemp("classifier")
    for number, label in enumerate(("blue", "red")):
        (root / "photos" / label).mkdir(parents=True)
        for index in range(14):
            image = picture(number * 1000 + index, COLOURS[label])
            image.save(root / "photos" / label / f"{index:03d}.png")
    return open_images(root / "photos", task=TASK, staging=root / "staging", test=0.3)


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Return a function that creates a classifier on a tiny network, with a shared cache."""
    cache = tmp_path_factory.mktemp("cache")

    def make(head=None, *, name=TINY, classes=("blue", "red"), scales="one", **options):
        backbone = load_backbone(name, weights="random", scales=scales)
        options = {"precision": "float32", "cache": cache} | options
        return Classifier(backbone, head, classes=classes, **options)

    return make


@pytest.fixture(scope="module")
def fitted(make, photos):
    """Return a fitted classifier; do not change it."""
    return make(LinearHead()).fit(photos.train)


def test_it_learns_to_distinguish_red_and_blue(fitted, photos):
    """All test images are predicted correctly, also in the evaluation."""
    found = fitted.evaluate(photos.test)
    assert found.images == len(photos.test) > 3
    assert found.accuracy == 1.0
    assert fitted.predict(picture(77, COLOURS["red"])).label == "red"
    assert fitted.predict(picture(78, COLOURS["blue"])).label == "blue"


def test_probabilities_agree_with_predictions(fitted, photos):
    """Each row sums to 1 and agrees with `predict`."""
    probabilities = fitted.probabilities_of(photos.test)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    for row, prediction in zip(probabilities, fitted.predict(photos.test.paths), strict=True):
        assert prediction.label == fitted.classes[row.argmax()]
        assert prediction.probability == pytest.approx(row.max(), abs=1e-4)


HEADS = [AutoHead(), LinearHead(), KernelHead(), MLPHead(hidden=8, epochs=5), NearestHead()]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_a_loaded_model_predicts_the_same(make, photos, tmp_path, head):
    """A model loaded from its bundle has identical probabilities and predictions."""
    model = make(head).fit(photos.train)
    model.save(tmp_path / "model")
    again = hs.load(tmp_path / "model", cache=tmp_path / "elsewhere")
    assert again.classes == model.classes
    assert again.extractor.fingerprint == model.extractor.fingerprint
    np.testing.assert_array_equal(
        again.probabilities_of(photos.test), model.probabilities_of(photos.test)
    )
    image = picture(5)
    assert again.predict(image) == model.predict(image)


def test_two_scales_are_candidates_and_saved(make, photos, tmp_path):
    """Heads on both scales join the average; the bundle keeps the second scale."""
    model = make(scales="two").fit(photos.train)
    assert {row.features for row in model.candidates} == {"last", "multilevel", "scales"}
    model.save(tmp_path / "model")
    again = hs.load(tmp_path / "model", cache=tmp_path / "elsewhere")
    assert again.extractor.preprocess.small_size == 96
    np.testing.assert_array_equal(
        again.probabilities_of(photos.test), model.probabilities_of(photos.test)
    )


def test_features_of_one_scale_do_not_need_two(make, photos):
    """Features that would leave the second scale unused are an error."""
    with pytest.raises(OptionError) as caught:
        make(features="last", scales="two").fit(photos.train)
    assert str(caught.value) == (
        "Features 'last' have one scale. Omit scales 'two', or the features."
    )


def test_a_loaded_model_can_be_saved_again(fitted, tmp_path):
    """The bundle of a loaded model is the same model."""
    fitted.save(tmp_path / "first")
    hs.load(tmp_path / "first", cache=tmp_path / "c").save(tmp_path / "second")
    again = hs.load(tmp_path / "second", cache=tmp_path / "c")
    assert again.predict(picture(5)) == fitted.predict(picture(5))


def test_a_vit_of_another_size_is_saved_and_loaded(make, photos, tmp_path):
    """A network of a fixed size that was created at a different size loads from its bundle."""
    backbone = load_backbone("test_vit", weights="random", image_size=96)
    model = Classifier(
        backbone,
        LinearHead(),
        classes=("blue", "red"),
        precision="float32",
        cache=tmp_path / "cache",
    ).fit(photos.train)
    model.save(tmp_path / "model")
    again = hs.load(tmp_path / "model", cache=tmp_path / "elsewhere")
    assert again.extractor.backbone.preprocess.size == 96
    assert again.predict(picture(3)) == model.predict(picture(3))


def test_the_same_seed_gives_the_same_model(make, photos):
    """Fitting twice gives identical probabilities."""
    first, second = (make(AutoHead()).fit(photos.train) for _ in range(2))
    np.testing.assert_array_equal(
        first.probabilities_of(photos.test), second.probabilities_of(photos.test)
    )


def close(first, second):
    """Return whether two predictions are equal up to rounding."""
    return first.label == second.label and first.probability == pytest.approx(
        second.probability, abs=1e-4
    )


def test_path_bytes_image_and_array_agree(fitted, photos):
    """The prediction does not depend on how an image is given, except for its name."""
    path = photos.test.paths[0]
    with open(path, "rb") as file:  # noqa: PTH123
        content = file.read()
    image = Image.open(io.BytesIO(content))
    by_path = fitted.predict(path)
    assert by_path.image == path
    for given in (content, image, np.asarray(image)):
        prediction = fitted.predict(given)
        assert close(prediction, by_path)
        assert prediction.image == type(given).__name__


def test_a_list_of_images_gives_a_list_of_predictions(fitted):
    """There is one prediction per image, in order; a single image gives a single prediction."""
    images = [picture(n, COLOURS["red" if n % 3 else "blue"]) for n in range(40)]
    predictions = fitted.predict(images)
    assert [prediction.label for prediction in predictions] == [
        "red" if n % 3 else "blue" for n in range(40)
    ]
    assert close(fitted.predict(images[7]), predictions[7])
    assert fitted.predict([]) == []


def test_top_lists_the_best_classes_first(fitted):
    """The list has at most all classes, most probable first, and starts with the label."""
    prediction = fitted.predict(picture(1, COLOURS["red"]))
    assert [name for name, _ in prediction.top] == ["red", "blue"]
    assert prediction.top[0] == (prediction.label, prediction.probability)
    assert sum(probability for _, probability in prediction.top) == pytest.approx(1)
    assert len(fitted.predict(picture(1), top=1).top) == 1


def test_top_0_is_an_error(fitted):
    """`top` must be at least 1."""
    with pytest.raises(OptionError, match="top"):
        fitted.predict(picture(1), top=0)


def features_used(model, image):
    """Return the features that are used to predict an image."""
    kept = []
    of_pixels = model.extractor.of_pixels

    def recorded(pixels):
        for features in of_pixels(pixels):
            kept.append(features)
            yield features

    model.extractor.of_pixels = recorded
    model.predict(image)
    del model.extractor.of_pixels
    return kept[0][0]


def test_features_do_not_depend_on_how_an_image_is_given(fitted, photos):
    """Path, bytes, image and array have the same features as in training."""
    path = photos.test.paths[0]
    with Image.open(path) as image:
        image.load()
    stored = fitted.features_of(photos.test)[0][0]
    with open(path, "rb") as file:  # noqa: PTH123
        content = file.read()
    for given in (path, content, image, np.asarray(image)):
        np.testing.assert_allclose(features_used(fitted, given), stored, rtol=1e-4, atol=1e-5)


def test_a_large_jpeg_is_decoded_as_in_training(fitted, make_folder, tmp_path):
    """A JPEG that is decoded at reduced scale in training is decoded the same in prediction."""
    folder = make_folder(2, name="large")
    large = Image.fromarray(skimage.data.astronaut()).resize((1024, 1024))
    large.save(folder / "red" / "large.jpg", quality=95)
    images = open_images(folder, task=TASK, staging=tmp_path / "s", classes=("blue", "red")).all
    row = next(n for n, path in enumerate(images.paths) if path.endswith("large.jpg"))
    by_set, _ = fitted.features_of(images)
    np.testing.assert_allclose(
        features_used(fitted, images.paths[row]), by_set[row], rtol=1e-4, atol=1e-4
    )


def test_a_rotated_photo_is_upright_however_it_is_given(fitted, tmp_path):
    """An image opened with Pillow is rotated like its file."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(skimage.data.chelsea()).crop((0, 0, 300, 150))
    image.save(tmp_path / "turned.jpg", exif=exif)
    with Image.open(tmp_path / "turned.jpg") as opened:
        found = features_used(fitted, opened)
    np.testing.assert_allclose(
        found, features_used(fitted, tmp_path / "turned.jpg"), rtol=1e-4, atol=1e-4
    )


def test_an_unreadable_file_is_named(fitted, tmp_path):
    """The error has the path of the file."""
    with pytest.raises(UnreadableImage) as caught:
        fitted.predict(tmp_path / "none.jpg")
    assert str(caught.value) == (
        f"Cannot read image '{tmp_path / 'none.jpg'}': the file does not exist."
    )


@pytest.mark.parametrize(
    "use",
    [
        lambda model, photos, folder: model.predict(picture(1)),
        lambda model, photos, folder: model.evaluate(photos.test),
        lambda model, photos, folder: model.save(folder / "model"),
        lambda model, photos, folder: model.add_class("green", [picture(1)]),
    ],
)
def test_an_unfitted_classifier_is_an_error(make, photos, tmp_path, use):
    """Every use before `fit` raises an error that says what to do."""
    with pytest.raises(OptionError) as caught:
        use(make(), photos, tmp_path)
    assert str(caught.value) == "The classifier is not fitted yet. Call fit first."


def test_other_classes_are_an_error(make, photos, fitted):
    """The error lists the classes of the images and of the model."""
    with pytest.raises(DataError) as caught:
        make(classes=("green", "red")).fit(photos.train)
    assert str(caught.value) == (
        "The images have the classes blue, red, but the model has green, red."
    )
    other = replace(fitted.predictor, classes=("green", "red"))
    with pytest.raises(DataError) as caught:
        other.evaluate(photos.test)
    assert str(caught.value) == (
        "There are images of the class 'blue', but the model only has 'green', 'red'. "
        "Leave them out, or correct their labels."
    )


def part(images, rows):
    """Return some images of a set."""
    return images.take(np.array(rows, dtype=np.int64))


def test_training_needs_images_of_two_classes(make, photos):
    """No images, or images of one class, are an error."""
    reds = np.flatnonzero(photos.train.labels == 1)
    for rows in ([], reds):
        with pytest.raises(DataError) as caught:
            make().fit(part(photos.train, rows))
        assert str(caught.value) == ("The training part must have images of at least two classes.")


def test_an_evaluation_needs_images(fitted, photos):
    """No images are an error."""
    with pytest.raises(DataError) as caught:
        fitted.evaluate(part(photos.test, []))
    assert str(caught.value) == "There are no images to evaluate on."


def test_no_images_have_no_probabilities(fitted, photos):
    """An empty set gives an empty array."""
    assert fitted.probabilities_of(part(photos.test, [])).shape == (0, 2)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
@pytest.mark.parametrize("counts", [(1, 9), (2, 2)])
def test_very_few_images_are_enough(make, photos, head, counts):
    """One image of one class, or two of each, fits without an error or a warning."""
    labels = photos.train.labels
    rows = [row for label in (0, 1) for row in np.flatnonzero(labels == label)[: counts[label]]]
    model = make(head).fit(part(photos.train, rows))
    probabilities = model.probabilities_of(photos.test)
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_all_images_in_one_group_work_or_are_an_error(make, photos):
    """If no fold can be held out, fitting works or the error explains why not."""
    table = photos.train.table
    column = table.schema.get_field_index("group")
    same = table.set_column(column, "group", [["one"] * len(table)])
    try:
        model = make(LinearHead()).fit(replace(photos.train, table=same))
    except DataError as error:
        assert "group" in str(error)
    else:
        assert np.isfinite(model.probabilities_of(photos.test)).all()


def test_a_validation_part_chooses_and_calibrates(make, photos, monkeypatch):
    """If it is large enough, it decides, and the temperature suits the model's scores of it."""
    monkeypatch.setattr("headstart.heads.choice.MIN_VAL_IMAGES", 4)
    monkeypatch.setattr("headstart.heads.choice._CONTRADICTION", -1.0)  # Always.
    model = make(LinearHead()).fit(photos.train, val=photos.test)
    scores = model.predictor.scores(model.features_of(photos.test)[0])
    expected = TASK.temperature(scores, photos.test.labels)
    assert model.predictor.temperature == pytest.approx(expected, rel=1e-4)
    assert (model.chosen_on, model.why_chosen) == ("val", "lowest log loss on the validation part")
    assert {row.val.images for row in model.candidates} == {len(photos.test)}


def test_a_small_validation_part_changes_nothing(make, photos):
    """Folds choose and calibrate as without it."""
    plain = make(LinearHead()).fit(photos.train)
    with_val = make(LinearHead()).fit(photos.train, val=photos.test)
    assert with_val.chosen_on == "folds"
    assert plain.predictor.temperature == with_val.predictor.temperature
    np.testing.assert_array_equal(plain.predictor.head.weight, with_val.predictor.head.weight)


def test_a_class_can_be_added_to_a_nearest_head(make, photos, tmp_path):
    """All classes are predicted after one was added, also by a loaded model."""
    model = make(NearestHead()).fit(photos.train)
    model.add_class("green", [picture(n, COLOURS["green"]) for n in range(2000, 2006)])
    model.save(tmp_path / "model")
    for classifier in (model, hs.load(tmp_path / "model", cache=tmp_path / "c")):
        assert classifier.classes == ("blue", "red", "green")
        for name in classifier.classes:
            assert classifier.predict(picture(3000, COLOURS[name])).label == name


def test_a_model_with_an_added_class_is_evaluated_on_its_own_test_part(make, photos, tmp_path):
    """The data lacks the new class, before and after saving: the other classes are measured."""
    model = make(NearestHead()).fit(photos.train)
    before = model.evaluate(photos.test)
    model.add_class("green", [picture(n, COLOURS["green"]) for n in range(2000, 2006)])
    model.save(tmp_path / "model")
    loaded = hs.load(tmp_path / "model", precision="float32", cache=tmp_path / "c")
    for classifier in (model, loaded):
        found = classifier.evaluate(photos.test)
        assert (found.absent, found.accuracy) == (("green",), before.accuracy)
        assert found.auroc == pytest.approx(before.auroc)
        assert [result.images for result in found.per_class] == [
            *(result.images for result in before.per_class),
            0,
        ]


def test_classes_without_images_do_not_change_the_order(make, photos):
    """A model whose classes are in another order is evaluated by name."""
    model = make(LinearHead(), classes=("blue", "red")).fit(photos.train).predictor
    head = replace(model.head, weight=model.head.weight[:, ::-1], bias=model.head.bias[::-1])
    turned = replace(model, classes=("red", "blue"), head=head)
    assert turned.evaluate(photos.test).accuracy == model.evaluate(photos.test).accuracy > 0.5


def test_a_class_can_only_be_added_to_a_nearest_head(fitted):
    """The error says how to train instead."""
    with pytest.raises(OptionError) as caught:
        fitted.add_class("green", [picture(1)])
    assert str(caught.value) == (
        "A 'linear' head cannot add a class without a refit. Train with head='nearest'."
    )


def test_an_added_class_must_be_new_and_have_images(make, photos):
    """Otherwise there is an error and nothing changes."""
    model = make(NearestHead()).fit(photos.train)
    with pytest.raises(OptionError) as caught:
        model.add_class("red", [picture(1)])
    assert str(caught.value) == "The model already has a class 'red'."
    with pytest.raises(DataError) as caught:
        model.add_class("green", [])
    assert str(caught.value) == "No images of class 'green' were passed."
    assert model.classes == ("blue", "red")
    assert len(model.predictor.head.centres) == 2


@pytest.mark.parametrize(
    "options", [{"features": "multi"}, {"device": "gpu"}, {"precision": "fp16"}]
)
def test_an_unknown_option_is_an_error(make, options):
    """An invalid value is not silently replaced."""
    with pytest.raises(OptionError):
        make(**options)


def test_a_saved_model_is_not_replaced(fitted, tmp_path):
    """Saving twice needs overwrite."""
    fitted.save(tmp_path / "model")
    with pytest.raises(OutputError, match=r"already exists\. Pass overwrite=True"):
        fitted.save(tmp_path / "model")
    fitted.save(str(tmp_path / "model"), overwrite=True)


def test_a_missing_model_cannot_be_loaded(tmp_path):
    """The error says that it does not exist."""
    with pytest.raises(BundleError, match="does not exist"):
        hs.load(tmp_path / "none")


def test_the_model_card_describes_the_model(fitted, tmp_path):
    """It has the classes, the backbone, the weights and the test result."""
    measured = {"images": 10, "accuracy": 0.9, "accuracy_ci95": [0.6, 0.98]}
    values = metrics()
    fitted.save(tmp_path / "model", record=record(values | {"test": values["test"] | measured}))
    card = (tmp_path / "model" / "README.md").read_text()
    assert "# Image classifier with 2 classes\n" in card
    assert "- Classes: blue, red\n" in card
    assert f"- Backbone: {TINY}\n- Weights: random\n" in card
    assert "Accuracy on 10 held-out test images: 90.0% (95% interval 60.0% to 98.0%).\n" in card


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.kind)
def test_a_head_can_be_named(make, photos, head):
    """The name of a head is the head with its defaults."""
    assert repr(make(head.kind)) == repr(make(head))
    assert make(head.kind)._settings.head == type(head)()


def test_an_unknown_name_of_a_head(make):
    """The error suggests the nearest name."""
    with pytest.raises(OptionError) as error:
        make("linaer")
    assert str(error.value) == "There is no head 'linaer'. Did you mean 'linear'?"


def test_a_classifier_and_its_predictor_show_themselves(make, fitted):
    """The text has the backbone, the head, the features that it reads, and the classes."""
    assert repr(make(classes=tuple("abcdefg"))) == (
        "Classifier(test_resnet, head=auto: not fitted; "
        "classes: 'a', 'b', 'c', 'd', 'e' and 2 more)"
    )
    features = fitted.predictor.features
    assert repr(fitted) == (
        f"Classifier(test_resnet, head=linear: {features} features, linear; classes: 'blue', 'red')"
    )
    assert repr(fitted.predictor) == (
        f"Predictor(test_resnet, {features} features, linear; classes: 'blue', 'red')"
    )
    measured = replace(fitted.predictor, record=record(metrics()))
    assert repr(measured).endswith("; classes: 'blue', 'red'; 87.6% correct on the test images)")


def test_continuing_with_a_named_head(fitted):
    """A trained model can be continued with a head by name."""
    again = Classifier.from_predictor(fitted.predictor, head="nearest")
    assert again._settings.head == NearestHead()
