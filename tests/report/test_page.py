"""The report: its content, the escaping of names, and that it has no external resources."""

from __future__ import annotations

import copy
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from headstart.answers import Mistake
from headstart.record import Record
from headstart.report import PicturedMistake, render_report
from headstart.report.feature_plot import COLOURS
from headstart.tasks.single import Single

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>{{ 7 * 7 }}"

VOID = {"meta", "img", "br", "line", "circle", "polyline", "input", "link", "hr"}


class Page(HTMLParser):
    """A parsed page: its visible text, and its elements with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.unbalanced: list[str] = []
        self._open: list[str] = []
        self._pieces: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._open):
            self._pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self._pieces).replace("\u00a0", " ").split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def metrics(**changes: Any) -> dict[str, Any]:
    solar: dict[str, Any] = {
        "headstart": "0.1.0",
        "created": "2026-11-23T18:00:00+00:00",
        "data": {
            "name": "solar",
            "source": "/data/solar",
            "classes": ["defective", "functional"],
            "images": {"train": 1968, "val": 17, "test": 656, "rejected": 1},
        },
        "backbone": "efficientnet-lite0",
        "weights": "imagenet",
        "options": {},
        "precision_trial": None,
        "tuning": None,
        "features": "multilevel",
        "head": "kernel",
        "tuned": None,
        "engine": "openvino",
        "precision": "bf16",
        "image_size": 288,
        "seed": 41,
        "choice": [
            {
                "features": "last",
                "head": "linear",
                "accuracy": 0.847,
                "accuracy_ci95": [0.831, 0.862],
                "log_loss": 0.351,
                "chosen": False,
            },
            {
                "features": "multilevel",
                "head": "kernel",
                "accuracy": 0.879,
                "accuracy_ci95": [0.864, 0.893],
                "log_loss": 0.302,
                "chosen": True,
            },
        ],
        "test": {
            "images": 656,
            "accuracy": 0.8765,
            "accuracy_ci95": [0.8491, 0.8994],
            "macro_f1": 0.8562,
            "auroc": 0.9314,
            "ece": 0.0213,
            "log_loss": 0.3141,
            "temperature": 1.17,
            "majority": 451 / 656,
        },
        "per_class": [
            {
                "class": "defective",
                "precision": 0.81,
                "recall": 0.7902,
                "recall_ci95": [0.729, 0.8405],
                "f1": 0.8003,
                "images": 205,
            },
            {
                "class": "functional",
                "precision": 0.9057,
                "recall": 0.9157,
                "recall_ci95": [0.8864, 0.938],
                "f1": 0.9107,
                "images": 451,
            },
        ],
        "confusion": [[162, 43], [38, 413]],
        "reliability": [
            {"confidence": 0.653, "accuracy": 0.642, "images": 131},
            {"confidence": 0.957, "accuracy": 0.935, "images": 525},
        ],
        "rejected": [{"image": "a/b.jpg", "reason": "truncated: ends after 12 bytes"}],
        "warnings": ["Class 'defective' has few images."],
        "leaks": [],
        "seconds": {"scan": 2.1, "extract": 9.8, "head": 3.9, "tune": 0.3, "total": 17.2},
    }
    return copy.deepcopy(solar) | changes


def data(**changes: Any) -> dict[str, Any]:
    return {"data": metrics()["data"] | changes}


def measured(**changes: Any) -> dict[str, Any]:
    return {"test": metrics()["test"] | changes}


def many_classes(number: int) -> dict[str, Any]:
    """Return ten test images per class; three of the last class are predicted as the first."""
    names = [f"class {index:02d}" for index in range(number)]
    confusion = [[10 * (row == column) for column in range(number)] for row in range(number)]
    confusion[-1][-1], confusion[-1][0] = 7, 3
    row = metrics()["per_class"][0]
    images = {"train": 4000, "val": 0, "test": 10 * number, "rejected": 0}
    return metrics(
        **data(classes=names, images=images),
        **measured(majority=1 / number),
        per_class=[row | {"class": name, "images": 10} for name in names],
        confusion=confusion,
    )


def record(values: dict[str, Any]) -> Record:
    """Build a record from values of version 1."""
    return Record.of(values, "metrics.json")


def mistake(**changes: Any) -> PicturedMistake:
    picture = BytesIO()
    Image.new("RGB", (8, 8), "navy").save(picture, "JPEG")
    values: dict[str, Any] = {
        "image": "functional/cell0007.png",
        "thumbnail": picture.getvalue(),
        "label": "functional",
        "predicted": "defective",
        "probability": 0.971,
    }
    values |= changes
    image, thumbnail = values.pop("image"), values.pop("thumbnail")
    return PicturedMistake(Mistake(7, **values), image, thumbnail)


def page(*mistakes: PicturedMistake, of: dict[str, Any] | None = None, **changes: Any) -> Page:
    shown = record(of or metrics(**changes))
    part = Single().report_part(shown.test) if shown.test else None
    return Page(render_report(shown, part, mistakes))


def test_headline_has_accuracy_interval_and_baseline() -> None:
    """The first sentences have the accuracy, its interval and the majority baseline."""
    assert (
        "The model classified 87.6% of 656 unseen test images correctly "
        "(95% interval 84.9 to 89.9%). The majority baseline, which always predicts "
        "'functional', reaches 68.8%."
    ) in page(**measured(accuracy=0.8764)).text


def test_order_of_the_sections() -> None:
    """Result, warnings, errors, calibration, choice, rejected files, details."""
    headings = [
        "Test accuracy",
        "Warnings",
        "Confusion matrix",
        "Results by class",
        "Most confident mistakes",
        "Calibration",
        "How the model was chosen",
        "Rejected files",
        "Model details",
    ]
    assert re.findall(r"<h2[^>]*>([^<]*)</h2>", page(mistake()).html) == headings


@pytest.mark.parametrize(
    "shown",
    [
        *("2 classes", "1,968 training images", "17 validation images", "656 test images"),
        *("0.856", "0.931", "0.021", "0.314", "1.17"),
        *("162 79.0%", "43 21.0%", "38 8.4%", "413 91.6%"),
        *("79.0% 72.9 to 84.0%", "81.0% 0.800 205", "91.6% 88.6 to 93.8%", "90.6% 0.911 451"),
        *("65.3% 64.2% 131", "95.7% 93.5% 525"),
        *(
            "last linear 84.7% 83.1 to 86.2% 0.351",
            "multilevel kernel 87.9% 86.4 to 89.3% 0.302",
        ),
        *("a/b.jpg", "truncated: ends after 12 bytes", "Class 'defective' has few images."),
        *("efficientnet-lite0", "imagenet", "openvino", "bf16", "288 \u00d7 288", "Seed 41"),
        *("Scan 2.1 s", "Extract 9.8 s", "Head 3.9 s", "Tune 0.3 s", "Total 17.2 s"),
        *("/data/solar", "Headstart 0.1.0", "2026-11-23 18:00 UTC"),
    ],
)
def test_every_value_of_the_record_is_shown(shown: str) -> None:
    """The values of metrics.json are on the page."""
    assert shown in spaced(page().html)


def spaced(html: str) -> str:
    """Return the visible text with a space wherever an element starts or ends."""
    return Page(html.replace("<", " <")).text


def test_estimates_on_the_validation_part_are_beside_those_on_folds() -> None:
    """Each row has both estimates, and the reason for the choice is above the table."""
    val = {"accuracy": 0.75, "accuracy_ci95": [0.68, 0.81], "log_loss": 0.512, "images": 170}
    choice = [row | {"images": 1968, "val": val} for row in metrics()["choice"]]
    html = page(choice=choice, why_chosen="lowest log loss on the validation part").html
    assert (
        "on the training part and on the validation part (170 images). Chosen: lowest log loss on "
        "the validation part. The test part was not used."
    ) in spaced(html)
    assert "last linear 84.7% 83.1 to 86.2% 0.351 75.0% 68.0 to 81.0% 0.512" in spaced(html)
    assert "Folds: accuracy 95% interval log loss Validation: accuracy" in spaced(html)


def test_training_images_are_beside_test_images() -> None:
    """Each row of the table by class has both counts; records without the former have no column."""
    values = metrics(schema=1)
    shown = Record.of(values, "metrics.json")
    part = Single().report_part(shown.test, (1353, 615))
    html = render_report(shown, part, [])
    assert "F1 Test images Training images defective 79.0%" in spaced(html)
    assert "0.800 205 1,353 functional" in spaced(html)
    assert "Training images" not in spaced(page().html)


def test_only_the_chosen_candidate_is_marked() -> None:
    """One row of the table has the mark."""
    assert page().text.count("✓ chosen") == 1
    assert "✓ chosen multilevel kernel" in spaced(page().html)


def test_baseline_names_its_class() -> None:
    """The class is identified by its share of the test images."""
    assert (
        "which always predicts 'defective', reaches 31.2%."
        in page(**measured(majority=205 / 656)).text
    )


def test_baseline_names_no_class_if_classes_tie() -> None:
    """With equally frequent classes, the class of the baseline is unknown."""
    assert (
        "which always predicts the most frequent class, reaches 1.2%."
        in page(of=many_classes(80)).text
    )


def test_an_interval_that_includes_the_baseline_has_a_note() -> None:
    """A model that may be no better than the baseline is not presented as a success."""
    note = "The interval is not entirely above the baseline"
    assert note in page(**measured(accuracy_ci95=[0.60, 0.91])).text
    assert note not in page().text


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [(1.0, "100.0%"), (0.99996, "> 99.9%"), (0.0, "0.0%"), (0.0002, "< 0.1%"), (0.5, "50.0%")],
)
def test_only_exact_values_are_rounded_to_0_or_100(fraction: float, shown: str) -> None:
    """100.0% and 0.0% are shown only if they are exact."""
    assert f"Confidence {shown} functional/" in spaced(page(mistake(probability=fraction)).html)


def test_hostile_names_are_escaped_everywhere() -> None:
    """Markup in a class, file, folder, reason or warning is shown as text."""
    per_class = metrics()["per_class"]
    hostile = page(
        mistake(image=HOSTILE, label=HOSTILE, predicted=HOSTILE),
        **data(name=HOSTILE, source=HOSTILE, classes=[HOSTILE, "functional"]),
        per_class=[per_class[0] | {"class": HOSTILE}, per_class[1]],
        rejected=[{"image": HOSTILE, "reason": HOSTILE}],
        warnings=[HOSTILE],
        leaks=[{"images": [HOSTILE, HOSTILE]}],
        backbone=HOSTILE,
        weights=HOSTILE,
    )
    plain = page(mistake(), leaks=[{"images": ["a", "b"]}])
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    assert [set(attributes) for _, attributes in hostile.elements] == [
        set(attributes) for _, attributes in plain.elements
    ]
    assert hostile.all("script") == [{}] and hostile.all("script") == plain.all("script")
    assert hostile.text.count(HOSTILE) >= 13


def test_hostile_class_names_are_escaped_in_a_large_matrix() -> None:
    """The headings of a large matrix also have the name in an attribute."""
    large = many_classes(20)
    large["data"]["classes"][0] = HOSTILE
    shown = page(of=large)
    assert len(shown.all("script")) == 1
    assert not any("onerror" in attributes for _, attributes in shown.elements)
    assert [th["title"] for th in shown.all("th") if "title" in th].count(HOSTILE) == 2


def test_undecodable_file_names_are_escaped() -> None:
    """Surrogates, which os.listdir returns for undecodable bytes, are escaped."""
    shown = page(mistake(image="caf\udce9.png"))
    assert r"caf\udce9.png" in shown.html.encode("utf-8").decode("utf-8")


def test_page_has_no_external_resources() -> None:
    """There are no URLs, and the policy allows only the page's own script, by its digest."""
    shown = page(mistake())
    assert "http://" not in shown.html
    assert "https://" not in shown.html
    assert not shown.all("link") + shown.all("iframe")
    assert all(str(img["src"]).startswith("data:image/jpeg;base64,") for img in shown.all("img"))
    assert "url(" not in shown.html
    assert "@import" not in shown.html
    policy = next(m for m in shown.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    [script] = re.findall(r"<script>(.*?)</script>", shown.html, flags=re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert policy["content"] == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )


def test_mistake_shows_its_picture_truth_prediction_confidence_and_file() -> None:
    """A mistake is shown with all its details."""
    pictured = mistake()
    shown = page(pictured)
    assert b64encode(pictured.thumbnail).decode() in str(shown.all("img")[0]["src"])
    assert (
        "True functional Predicted defective Confidence 97.1% functional/cell0007.png"
    ) in spaced(shown.html)
    assert (
        shown.all("img")[0]["alt"]
        == "Test image functional/cell0007.png: labelled functional, predicted defective"
    )


def test_mistakes_are_ordered_by_confidence() -> None:
    """The most confident mistake comes first, whatever the order of the arguments."""
    shown = page(*(mistake(image=f"{p}.png", probability=p) for p in (0.6, 0.9, 0.7)))
    assert re.findall(r">(0\.\d)\.png<", shown.html) == ["0.9", "0.7", "0.6"]


def test_a_perfect_result_says_so() -> None:
    """Without mistakes, the section says so."""
    perfect = page(**measured(accuracy=1.0), confusion=[[205, 0], [0, 451]])
    assert "None: all test images were classified correctly." in perfect.text


def test_missing_thumbnails_are_not_a_perfect_result() -> None:
    """With mistakes but without thumbnails, the page does not claim a perfect result."""
    assert "This page was rendered without images of mistakes." in page().text
    assert "None: all test images" not in page().text


def test_without_a_test_part_the_page_says_so() -> None:
    """The page has no test results, and says what to do."""
    shown = page(test=None, per_class=[], confusion=[], reliability=[])
    assert "Not measured. There are no test images" in shown.text
    assert "Hold out test images with --test" in shown.text
    assert "How the model was chosen" in shown.text
    assert "nothing has confirmed it" in shown.text
    for absent in ("test accuracy", "AUROC", "Confusion matrix", "Most confident mistakes"):
        assert absent not in shown.text


def test_an_undefined_auroc_is_explained() -> None:
    """An undefined AUROC is a dash with the reason."""
    shown = spaced(page(**measured(auroc=None)).html)
    assert "AUROC \u2013 Not defined: ranking needs test images of at least two classes." in shown


def test_a_class_without_test_images_comes_last() -> None:
    """Its metrics are dashes, not zeros."""
    per_class = metrics()["per_class"]
    unmeasured = {"precision": None, "recall": None, "recall_ci95": None, "f1": None, "images": 0}
    shown = page(per_class=[per_class[0] | unmeasured, per_class[1]])
    assert "defective \u2013 \u2013 \u2013 \u2013 0" in spaced(shown.html)
    rows = re.findall(r'<th scope="row"><bdi class="name">(\w+)', shown.html)
    assert rows[-2:] == ["functional", "defective"]


def test_leaks_are_listed() -> None:
    """With duplicates across the split, the page does not call the test images unseen."""
    shown = page(leaks=[{"images": ["train/x.png", "test/y.png"]}])
    assert "train/x.png = test/y.png" in shown.text
    assert "1 group of identical or nearly identical images spans several parts" in shown.text
    assert "unseen" not in shown.text


def test_without_warnings_and_leaks_there_is_no_warning_section() -> None:
    """The section is omitted if it would be empty."""
    assert ">Warnings<" not in page(warnings=[]).html


def test_a_large_matrix_scrolls_and_has_a_list_of_confusions() -> None:
    """A large matrix does not widen the page, and its main confusions are listed as text."""
    shown = page(of=many_classes(80))
    region = next(d for d in shown.all("div") if d.get("aria-label") == "Confusion matrix")
    assert {"scroll", "tall", "dense"} <= set(str(region["class"]).split())
    assert region["tabindex"] == "0"
    assert "'class 79' predicted as 'class 00': 3 of 10 (30.0%)" in shown.text
    assert len([td for td in shown.all("td") if "--heat" in str(td.get("style"))]) == 81


def test_at_most_ten_confusions_are_listed() -> None:
    """The most frequent confusions come first."""
    large = many_classes(40)
    for row in range(20):
        large["confusion"][row][row + 1] = row + 1
    listed = re.findall(r"predicted as [^:]*: (\d+) of", page(of=large).text)
    assert listed == ["20", "19", "18", "17", "16", "15", "14", "13", "12", "11"]


def test_heat_is_the_share_of_the_row() -> None:
    """Frequent and rare classes use the same colour scale."""
    heats = re.findall(r'<td class="(\w+)" style="--heat:([\d.]+)"', page().html)
    assert heats == [("right", "0.79"), ("wrong", "0.21"), ("wrong", "0.08"), ("right", "0.92")]


def test_one_rejected_file_is_singular() -> None:
    """The noun agrees with its number."""
    assert "1 file could not be used" in page().text


def test_many_rejected_files_are_counted_by_reason_and_collapsed() -> None:
    """All files are still listed in a collapsed table."""
    kinds = ["truncated", "truncated", "too small", "not an image", "truncated"]
    rejected = [
        {"image": f"f{index}.jpg", "reason": f"{kinds[index % 5]}: {index}"}
        for index in range(5000)
    ]
    images = metrics()["data"]["images"] | {"rejected": 5000}
    shown = page(rejected=rejected, **data(images=images))
    assert "5,000 files could not be used" in shown.text
    assert "truncated: 3,000 files" in shown.text
    assert "too small: 1,000 files" in shown.text
    folded = shown.html[shown.html.index("Show all 5,000") :].partition("</details>")[0]
    assert folded.count("<tr>") == 5001
    assert "f4999.jpg" in folded


def test_without_rejected_files_the_page_says_so() -> None:
    """There is no empty table."""
    assert "None: all files could be read and used." in page(rejected=[]).text


def test_without_candidates_the_page_says_so() -> None:
    """A specified head is not presented as the result of a comparison."""
    assert (
        "No candidates were compared: the options specify multilevel features and the kernel head."
    ) in page(choice=[]).text


@pytest.mark.parametrize(
    ("tuned", "shown"), [(None, "no (backbone frozen)"), ("layers:10", "layers:10")]
)
def test_page_names_the_tuned_part(tuned: str | None, shown: str) -> None:
    """The details say which part was fine-tuned."""
    assert f"Fine-tuned {shown}" in spaced(page(tuned=tuned).html)


@pytest.mark.parametrize("of", [metrics(), many_classes(80), metrics(test=None)])
def test_page_is_accessible(of: dict[str, Any]) -> None:
    """It has a language, one h1, captions, scopes, alternative texts and unique ids."""
    shown = page(mistake(), of=of)
    assert shown.unbalanced == []
    assert shown.all("html")[0]["lang"] == "en"
    assert len(shown.all("h1")) == 1
    assert len(shown.all("caption")) == len(shown.all("table")) > 0
    assert all(th.get("scope") in {"col", "row"} for th in shown.all("th"))
    assert all(img.get("alt") for img in shown.all("img"))
    ids = [attributes["id"] for _, attributes in shown.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = [a["aria-labelledby"] for _, a in shown.elements if "aria-labelledby" in a]
    assert set(labels) <= set(ids)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("colour", [f"k{number}" for number in range(COLOURS)])
def test_marks_of_the_map_have_enough_contrast(theme: int, colour: str) -> None:
    """The contrast is at least 3 to 1 (WCAG 2.2, AA for graphics)."""
    colours = themes(page().html)[theme]
    light, dark = sorted((colours[colour], colours["surface"]), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3


def luminance(colour: tuple[float, ...]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def themes(html: str) -> list[dict[str, float]]:
    """Return the luminance of all colours, for the light and the dark theme."""
    luminances = []
    for block in re.findall(r":root \{(.*?)\}", html, re.DOTALL):
        colours = {
            name: tuple(int(value[i : i + 2], 16) / 255 for i in (0, 2, 4))
            for name, value in re.findall(r"--([\w-]+): #([0-9a-f]{6})", block)
        } | {
            name: tuple(int(part) / 255 for part in value.split())
            for name, value in re.findall(r"--([\w-]+): (\d+ \d+ \d+);", block)
        }
        luminances.append({name: luminance(colour) for name, colour in colours.items()})
    return luminances


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "paper"),
    [
        *(("text", "surface"), ("text", "page"), ("muted", "surface"), ("muted", "page")),
        *(("accent", "surface"), ("accent", "page"), ("amber-text", "amber")),
        *(("text", "right"), ("text", "wrong")),
    ],
)
def test_text_has_enough_contrast(theme: int, ink: str, paper: str) -> None:
    """The contrast is at least 4.5 to 1 (WCAG 2.2, AA), also on the darkest cells of the matrix."""
    colours = themes(page().html)[theme]
    light, dark = sorted((colours[ink], colours[paper]), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
