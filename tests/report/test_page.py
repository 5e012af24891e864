"""The report: what it shows, that hostile names stay text, and that it loads nothing."""

from __future__ import annotations

import copy
import re
from base64 import b64encode
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from headstart.record import Record
from headstart.report import PicturedMistake, render_report
from headstart.task import Mistake
from headstart.tasks.single import Single

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>{{ 7 * 7 }}"

VOID = {"meta", "img", "br", "line", "circle", "polyline", "input", "link", "hr"}


class Page(HTMLParser):
    """The visible text, the elements with their attributes, and the text inside each element."""

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
        if "style" not in self._open:
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
    """Ten test images of each class; three of the last class are taken for the first."""
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
    """Read a record as a run of the first version wrote it."""
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


def test_headline_states_accuracy_interval_and_baseline_in_one_sentence() -> None:
    """The reader learns first how often the model is right, how sure that is, and against what."""
    assert (
        "On 656 test images that the model never saw it was right 87.6 % of the time "
        "(95 % interval 84.9 to 89.9 %). Always answering 'functional' would be right 68.8 %."
    ) in page(**measured(accuracy=0.8764)).text


def test_sections_come_in_the_order_that_a_reader_asks_for_them() -> None:
    """Result, warnings, errors, calibration, choice, rejects, provenance."""
    headings = [
        "How often it is right",
        "Before you rely on this",
        "What it confuses",
        "Class by class",
        "Its most confident mistakes",
        "Can its confidence be believed?",
        "How the model was chosen",
        "What was left out",
        "How it was made",
    ]
    assert re.findall(r"<h2[^>]*>([^<]*)</h2>", page(mistake()).html) == headings


@pytest.mark.parametrize(
    "shown",
    [
        *("2 classes", "1,968 training images", "17 validation images", "656 test images"),
        *("0.856", "0.931", "0.021", "0.314", "1.17"),
        *("162 79.0 %", "43 21.0 %", "38 8.4 %", "413 91.6 %"),
        *("79.0 % 72.9 to 84.0 %", "81.0 % 0.800 205", "91.6 % 88.6 to 93.8 %", "90.6 % 0.911 451"),
        *("65.3 % 64.2 % 131", "95.7 % 93.5 % 525"),
        *(
            "last linear 84.7 % 83.1 to 86.2 % 0.351",
            "multilevel kernel 87.9 % 86.4 to 89.3 % 0.302",
        ),
        *("a/b.jpg", "truncated: ends after 12 bytes", "Class 'defective' has few images."),
        *("efficientnet-lite0", "imagenet", "openvino", "bf16", "288 \u00d7 288", "Seed 41"),
        *("Scan 2.1 s", "Extract 9.8 s", "Head 3.9 s", "Tune 0.3 s", "Total 17.2 s"),
        *("/data/solar", "Headstart 0.1.0", "2026-11-23 18:00 UTC"),
    ],
)
def test_every_number_of_the_metrics_is_shown(shown: str) -> None:
    """What metrics.json holds can be read on the page."""
    assert shown in spaced(page().html)


def spaced(html: str) -> str:
    """The visible text with a space wherever an element begins or ends."""
    return Page(html.replace("<", " <")).text


def test_chosen_candidate_is_marked_and_no_other() -> None:
    """One row of the choice table carries the mark."""
    assert page().text.count("✓ chosen") == 1
    assert "✓ chosen multilevel kernel" in spaced(page().html)


def test_baseline_names_the_class_that_it_always_answers() -> None:
    """The class is found by its share: the majority in training may be rare in the test part."""
    assert (
        "Always answering 'defective' would be right 31.2 %."
        in page(**measured(majority=205 / 656)).text
    )


def test_baseline_names_no_class_when_classes_tie() -> None:
    """Eighty equally frequent classes have no most frequent one."""
    assert (
        "Always answering with the most frequent class would be right 1.2 %."
        in page(of=many_classes(80)).text
    )


def test_an_interval_that_reaches_the_baseline_is_called_out() -> None:
    """A model that may know nothing but the class frequencies is not presented as a success."""
    said = "The interval does not lie above that baseline"
    assert said in page(**measured(accuracy_ci95=[0.60, 0.91])).text
    assert said not in page().text


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [(1.0, "100.0 %"), (0.99996, "> 99.9 %"), (0.0, "0.0 %"), (0.0002, "< 0.1 %"), (0.5, "50.0 %")],
)
def test_rounding_never_claims_certainty(fraction: float, shown: str) -> None:
    """100.0 and 0.0 are printed only where they are exact."""
    assert f"Confidence {shown} functional/" in spaced(page(mistake(probability=fraction)).html)


def test_hostile_names_stay_text_everywhere() -> None:
    """Markup in a class, file, folder, reason or warning is shown and never becomes an element."""
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
    assert not hostile.all("script")
    assert hostile.text.count(HOSTILE) >= 13


def test_hostile_class_names_stay_text_in_a_large_matrix() -> None:
    """The headings of a large matrix repeat the name in an attribute, which it cannot leave."""
    large = many_classes(20)
    large["data"]["classes"][0] = HOSTILE
    shown = page(of=large)
    assert not shown.all("script")
    assert not any("onerror" in attributes for _, attributes in shown.elements)
    assert [th["title"] for th in shown.all("th") if "title" in th].count(HOSTILE) == 2


def test_undecodable_file_name_still_gives_a_page_in_utf8() -> None:
    """A name with the surrogates that os.listdir gives for bad bytes is shown with escapes."""
    shown = page(mistake(image="caf\udce9.png"))
    assert r"caf\udce9.png" in shown.html.encode("utf-8").decode("utf-8")


def test_page_loads_nothing() -> None:
    """No address, no script, no stylesheet; a browser is told to fetch nothing either."""
    shown = page(mistake())
    assert "http://" not in shown.html
    assert "https://" not in shown.html
    assert not shown.all("script") + shown.all("link") + shown.all("iframe")
    assert all(str(img["src"]).startswith("data:image/jpeg;base64,") for img in shown.all("img"))
    assert "url(" not in shown.html
    assert "@import" not in shown.html
    policy = next(m for m in shown.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_mistake_shows_its_picture_truth_prediction_confidence_and_file() -> None:
    """A reader can judge a mistake, and find the file."""
    wrong = mistake()
    shown = page(wrong)
    assert b64encode(wrong.thumbnail).decode() in str(shown.all("img")[0]["src"])
    assert (
        "Truth functional Predicted defective Confidence 97.1 % functional/cell0007.png"
    ) in spaced(shown.html)
    assert (
        shown.all("img")[0]["alt"]
        == "Test image functional/cell0007.png: labelled functional, predicted defective"
    )


def test_mistakes_are_ordered_by_confidence() -> None:
    """The surest wrong answer comes first, in whatever order they arrive."""
    shown = page(*(mistake(image=f"{p}.png", probability=p) for p in (0.6, 0.9, 0.7)))
    assert re.findall(r">(0\.\d)\.png<", shown.html) == ["0.9", "0.7", "0.6"]


def test_a_perfect_test_says_that_there_is_no_mistake() -> None:
    """No mistakes is a result, not an empty section."""
    perfect = page(**measured(accuracy=1.0), confusion=[[205, 0], [0, 451]])
    assert "There are none: every test image was classified correctly." in perfect.text


def test_missing_pictures_are_not_taken_for_a_perfect_test() -> None:
    """Without pictures and with mistakes, the page does not claim that there were none."""
    assert "No pictures of mistakes were kept for this page." in page().text
    assert "There are none" not in page().text


def test_without_a_test_part_the_page_says_so_and_claims_nothing() -> None:
    """No number of a test that did not happen, and what to do about it."""
    shown = page(test=None, per_class=[], confusion=[], reliability=[])
    assert "Not measured. There is no test image" in shown.text
    assert "Hold images back with --test" in shown.text
    assert "How the model was chosen" in shown.text
    for absent in ("test accuracy", "AUROC", "What it confuses", "Its most confident mistakes"):
        assert absent not in shown.text


def test_unmeasurable_auroc_is_explained() -> None:
    """A null AUROC is a dash with its reason, never a zero."""
    shown = spaced(page(**measured(auroc=None)).html)
    assert "AUROC \u2013 Not measurable here: ranking needs test images of every class." in shown


def test_class_without_test_images_has_dashes_and_comes_last() -> None:
    """What was not measured is neither zero nor the weakest."""
    per_class = metrics()["per_class"]
    unmeasured = {"precision": None, "recall": None, "recall_ci95": None, "f1": None, "images": 0}
    shown = page(per_class=[per_class[0] | unmeasured, per_class[1]])
    assert "defective \u2013 \u2013 \u2013 \u2013 0" in spaced(shown.html)
    rows = re.findall(r'<th scope="row"><bdi class="name">(\w+)', shown.html)
    assert rows[-2:] == ["functional", "defective"]


def test_leaks_are_listed_and_take_back_the_claim_of_unseen_images() -> None:
    """With the same picture on both sides, the page does not say that the model never saw it."""
    shown = page(leaks=[{"images": ["train/x.png", "test/y.png"]}])
    assert "train/x.png = test/y.png" in shown.text
    assert "1 group of identical or nearly identical images is spread" in shown.text
    assert "that the model never saw" not in shown.text


def test_without_warnings_and_leaks_there_is_no_warning_section() -> None:
    """Amber is kept for what deserves it."""
    assert "Before you rely on this" not in page(warnings=[]).text


def test_eighty_classes_scroll_in_their_own_container_and_list_their_confusions() -> None:
    """A large matrix does not widen the page, and its main message is also there as text."""
    shown = page(of=many_classes(80))
    region = next(d for d in shown.all("div") if d.get("aria-label") == "Confusion matrix")
    assert {"scroll", "tall", "dense"} <= set(str(region["class"]).split())
    assert region["tabindex"] == "0"
    assert "'class 79' taken for 'class 00': 3 of 10 (30.0 %)" in shown.text
    assert len([td for td in shown.all("td") if "--heat" in str(td.get("style"))]) == 81


def test_at_most_ten_confusions_are_listed_most_frequent_first() -> None:
    """The list stays short."""
    large = many_classes(40)
    for row in range(20):
        large["confusion"][row][row + 1] = row + 1
    listed = re.findall(r"taken for [^:]*: (\d+) of", page(of=large).text)
    assert listed == ["20", "19", "18", "17", "16", "15", "14", "13", "12", "11"]


def test_heat_is_the_share_of_the_row() -> None:
    """A frequent class does not outshine a rare one."""
    heats = re.findall(r'<td class="(\w+)" style="--heat:([\d.]+)"', page().html)
    assert heats == [("right", "0.79"), ("wrong", "0.21"), ("wrong", "0.08"), ("right", "0.92")]


def test_one_rejected_file_is_spoken_of_in_the_singular() -> None:
    """The text agrees with its number."""
    assert "1 file could not be used" in page().text


def test_thousands_of_rejected_files_are_counted_by_reason_and_folded() -> None:
    """The page stays readable, and every file can still be found in it."""
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


def test_no_rejected_file_is_said_in_words() -> None:
    """An empty table is not shown."""
    assert "Nothing: every file could be read and used." in page(rejected=[]).text


def test_without_candidates_the_page_says_that_nothing_was_compared() -> None:
    """A given model is not presented as a chosen one."""
    assert (
        "Nothing was compared: the multilevel features and the kernel head were asked for."
    ) in page(choice=[]).text


@pytest.mark.parametrize(
    ("tuned", "shown"), [(None, "no (backbone frozen)"), ("layers:10", "layers:10")]
)
def test_page_says_what_was_fine_tuned(tuned: str | None, shown: str) -> None:
    """Frozen and tuned models can be told apart."""
    assert f"Fine-tuned {shown}" in spaced(page(tuned=tuned).html)


@pytest.mark.parametrize("of", [metrics(), many_classes(80), metrics(test=None)])
def test_page_is_accessible(of: dict[str, Any]) -> None:
    """Language, one h1, captions, scopes, alternative texts, unique ids that labels resolve to."""
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


def luminance(colour: tuple[float, ...]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def themes(html: str) -> list[dict[str, float]]:
    """The luminance of every colour of the light and of the dark theme."""
    found = []
    for block in re.findall(r":root \{(.*?)\}", html, re.DOTALL):
        colours = {
            name: tuple(int(value[i : i + 2], 16) / 255 for i in (0, 2, 4))
            for name, value in re.findall(r"--([\w-]+): #([0-9a-f]{6})", block)
        } | {
            name: tuple(int(part) / 255 for part in value.split())
            for name, value in re.findall(r"--([\w-]+): (\d+ \d+ \d+);", block)
        }
        found.append({name: luminance(colour) for name, colour in colours.items()})
    return found


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
    """At least 4.5 to 1 (WCAG 2.2, AA), also on the hottest cell of the matrix."""
    colours = themes(page().html)[theme]
    light, dark = sorted((colours[ink], colours[paper]), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
