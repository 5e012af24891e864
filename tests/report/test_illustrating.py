"""What the report shows of single images: which pictures, and what it says about them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from headstart.data.contract import CURRENT
from headstart.data.images import ImageSet
from headstart.report import render_report
from headstart.report.illustrating import MAX_PER_CELL, choose_pictures, illustrate
from headstart.report.page import PicturedMistake
from headstart.tasks.multi import Multi
from headstart.tasks.single import Single
from tests.report.pages import (
    POINT,
    explained,
    illustrated,
    image_set,
    located,
    predictions,
    whole_page,
)
from tests.report.test_page import HOSTILE, Page, metrics, mistake, page, record, spaced

CLASSES = ("defective", "functional")


def test_pictures_have_the_prediction_at_the_operating_point(tmp_path: Path) -> None:
    """Each shows its image, class, prediction and probability."""
    images = image_set(tmp_path, 30, CLASSES)
    probabilities = predictions(images)
    shown = illustrated(images)
    assert len(shown.shots) == 30
    for shot in shown.shots:
        row = images.names.index(shot.image)
        assert shot.truth == row % 2
        assert shot.predicted == int(probabilities[row, 0] < 0.4)
        assert shot.probability == probabilities[row, shot.predicted]
        assert Image.open(BytesIO(shot.thumbnail)).size == (64, 64)
    assert [point.truth for point in shown.points] == images.labels.tolist()
    for row, point in enumerate(shown.points):
        assert point.shot is not None
        assert shown.shots[point.shot].image == images.names[row]


def test_the_most_confident_mistakes_of_every_kind_come_first() -> None:
    """First one of each kind, then a second one of each, and so on; then images on the map."""
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 3, 3000), rng.integers(0, 3, 3000)
    confidence = rng.random(3000)
    mapped = np.arange(0, 3000, 10)
    rows = choose_pictures(truth, predicted, confidence, mapped, 200)
    assert len(rows) == len(set(rows)) == 200
    kinds = list(zip(truth[rows].tolist(), predicted[rows].tolist(), strict=True))
    wrong = {(a, b) for a in range(3) for b in range(3) if a != b}
    for start in range(0, 120, 6):
        assert set(kinds[start : start + 6]) == wrong
    for kind in wrong:
        of_kind = confidence[(truth == kind[0]) & (predicted == kind[1])]
        shown = [
            confidence[row] for row, one in zip(rows[:120], kinds, strict=False) if one == kind
        ]
        assert shown == sorted(of_kind, reverse=True)[:20]
    assert set(rows[120:]) <= set(mapped.tolist())
    assert all(a != b for a, b in kinds[120:160])
    assert all(a == b for a, b in kinds[160:])


def test_a_cell_has_a_limited_number_of_pictures() -> None:
    """Images on the map are not limited, since they are shown there too."""
    truth = np.zeros(1000, dtype=np.int64)
    predicted = np.arange(1000) % 2
    nowhere = np.empty(0, dtype=np.int64)
    rows = choose_pictures(truth, predicted, np.ones(1000), nowhere, 500)
    assert Counter(predicted[rows].tolist()) == {0: MAX_PER_CELL, 1: MAX_PER_CELL}
    everywhere = choose_pictures(truth, predicted, np.ones(1000), np.arange(1000), 500)
    assert len(everywhere) == 500


def test_few_images_are_all_shown() -> None:
    """The budget for mistakes does not leave anything out that there is room for."""
    truth, predicted = np.array([0, 0, 1, 1]), np.array([1, 1, 1, 1])
    rows = choose_pictures(truth, predicted, np.array([0.6, 0.9, 0.8, 0.7]), np.arange(0), 4)
    assert rows == [1, 0, 2, 3]


def test_an_image_that_cannot_be_read_any_more_is_left_out(tmp_path: Path) -> None:
    """Its point stays on the map, without a picture."""
    images = image_set(tmp_path, 24, CLASSES)
    Path(images.paths[5]).write_bytes(b"nothing")
    shown = illustrated(images)
    assert images.names[5] not in [shot.image for shot in shown.shots]
    assert shown.points[5].shot is None
    assert sum(point.shot is None for point in shown.points) == 1


def test_several_labels_have_no_pictures_by_cell() -> None:
    """There is no confusion matrix, and no class to colour a map by."""
    table = pa.table({"image": ["a"], "path": ["a"], "label": ['{"x": 1, "y": 1}']})
    images = ImageSet(table, ("x", "y"), Multi())
    assert illustrate(images, np.ones((1, 2)), None, None, CURRENT) is None


def test_without_pictures_cells_are_text() -> None:
    """There are no buttons, no dialogs, no map and no slider."""
    shown = page()
    for absent in ("dialog", "button", "input"):
        assert not shown.all(absent)
    assert "Select a cell" not in shown.text
    assert "Map of the" not in shown.text


def test_cells_with_pictures_are_buttons(tmp_path: Path) -> None:
    """Each button names its cell and opens a dialog that is labelled and has its pictures."""
    shown = Page(whole_page(tmp_path))
    assert shown.unbalanced == []
    dialogs = {dialog["id"]: dialog for dialog in shown.all("dialog")}
    opened = {button.get("popovertarget") for button in shown.all("button")}
    assert set(dialogs) == {"cell-0-0", "cell-0-1", "cell-1-0", "cell-1-1"}
    assert set(dialogs) <= opened
    assert "defective predicted as functional: show pictures" in shown.text
    assert "'defective' predicted as 'functional'" in shown.text
    assert len([1 for figure in shown.all("figure") if "data-shot" in figure]) == 60
    ids = [attributes["id"] for _, attributes in shown.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_hostile_names_are_escaped_in_pictures_map_and_curve(tmp_path: Path) -> None:
    """Markup in the names of classes and images is shown as text."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "hostile").mkdir()
    plain = Page(whole_page(tmp_path / "plain"))
    hostile = Page(whole_page(tmp_path / "hostile", (HOSTILE, "functional")))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    assert len(hostile.all("script")) == 1
    assert not any("onerror" in attributes for _, attributes in hostile.elements)


def test_mistakes_show_a_heat_map_and_the_nearest_training_images() -> None:
    """Both are beside the picture, if they are there."""
    [whole] = explained([mistake()])
    shown = page(whole)
    assert "Nearest training images functional distance 0.10 functional" in spaced(shown.html)
    alts = [image["alt"] for image in shown.all("img")]
    assert alts[1:] == [
        "Heat map of functional/cell0007.png",
        *(f"Training image train/{number}.png" for number in (1, 2, 3)),
    ]
    assert str(shown.all("img")[1]["src"]).startswith("data:image/png;base64,")
    assert "Beside each picture is a heat map" in shown.text
    assert "heat map" not in page(mistake()).text


@pytest.mark.parametrize("heat", [True, False])
def test_a_mistake_may_have_only_one_of_both(heat: bool) -> None:
    """Heat map and neighbours do not depend on each other."""
    [whole] = explained([mistake()])
    partly: PicturedMistake = replace(whole, neighbours=()) if heat else replace(whole, heat=None)
    text = page(partly).text
    assert ("Nearest training images" in text) is not heat
    assert ("Beside each picture is a heat map" in text) is heat


def test_a_report_of_pictures_without_a_map(tmp_path: Path) -> None:
    """The map is optional."""
    images = image_set(tmp_path, 24, CLASSES)
    probabilities = predictions(images)
    shown = illustrate(images, probabilities, None, POINT, CURRENT, limit=10)
    assert shown is not None
    assert (len(shown.shots), shown.points) == (10, ())
    evaluation = Single().evaluate(probabilities, images.labels, CLASSES, thresholds=POINT)
    values = replace(record(metrics()), test=evaluation)
    rendered = Page(render_report(values, Single().report_part(evaluation), [], test_images=shown))
    assert "Map of the" not in rendered.text
    assert "What other thresholds would give" in rendered.text
    assert "10 pictures" not in rendered.text


def test_a_map_may_be_of_some_of_the_images(tmp_path: Path) -> None:
    """Its rows say which."""
    images = image_set(tmp_path, 24, CLASSES)
    whole = located(images.labels)
    some = replace(whole, rows=whole.rows[::2], coordinates=whole.coordinates[::2])
    shown = illustrate(images, predictions(images), some, None, CURRENT)
    assert shown is not None
    assert [point.truth for point in shown.points] == [0] * 12
