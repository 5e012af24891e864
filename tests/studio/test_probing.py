"""The live probe and the suggestions, on a tiny network."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from headstart.errors import DataError
from headstart.features.extractor import FeatureExtractor
from headstart.studio.acts import Drop, Label, SetKind
from headstart.studio.probing import fit_probe, suggest
from headstart.studio.project import Project
from headstart.studio.studying import study
from headstart.studio.suggestions import alike, doubt, next_to_label, points_of
from headstart.studio.workbench import Workbench
from headstart.watching import SilentWatcher
from tests.conftest import COLOURS, picture


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with 16 labelled images, 8 others and a damaged one."""
    for number, (name, colour) in enumerate((("blue", "blue"), ("red", "red"), ("", "red"))):
        (tmp_path / name).mkdir(exist_ok=True)
        for index in range(8):
            image = picture(index + 100 * number, COLOURS[colour], side=48)
            image.save(tmp_path / name / f"{index}.png")
    (tmp_path / "damaged.png").write_bytes(b"no image")
    return Project(tmp_path)


@pytest.fixture
def workbench(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """Return a workbench that has looked at all images."""
    backbone = hs.load_backbone("test_resnet", weights="random", image_size=64)
    extractor = FeatureExtractor(
        backbone, cache=tmp_path_factory.mktemp("cache"), precision="float32"
    )
    made = Workbench(project.folder, extractor)
    made.look_at(project.labels.items)
    return made


def test_the_probe_knows_what_it_was_told(project: Project, workbench: Workbench) -> None:
    """Images without a label are predicted, and the results come from folds."""
    probe = fit_probe(workbench, project.labels.state)
    assert set(probe.guesses) == {f"{index}.png" for index in range(8)}
    assert {guess.labels for guess in probe.guesses.values()} == {("red",)}
    assert probe.evaluation
    assert len(probe.train) + probe.tested == 16
    assert (
        len(probe.train) == len(workbench.labelled(project.labels.state).train) < 16
    )  # The others are test images.
    assert workbench.problem_of("damaged.png")
    assert not workbench.has("damaged.png")


def test_only_new_files_are_read(
    project: Project, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was checked once is known, until the file changes."""
    read = list[str]()
    original = FeatureExtractor.of_files

    def of_files(extractor, images, **named):  # type: ignore[no-untyped-def]
        read.extend(path for path, _ in images)
        return original(extractor, images, **named)

    monkeypatch.setattr(FeatureExtractor, "of_files", of_files)
    workbench.look_at(project.labels.items)
    assert read == []
    picture(77, COLOURS["blue"], side=48).save(project.folder / "3.png")
    workbench.look_at(project.labels.items)
    assert read == [str(project.folder / "3.png")]
    (project.folder / "3.png").unlink()
    workbench.look_at(project.labels.items)
    assert not workbench.has("3.png")


def test_too_little_is_labelled(project: Project, workbench: Workbench) -> None:
    """One class cannot be trained on; images that were dropped do not count."""
    project.do(Drop(tuple(name for name in project.labels.items if name.startswith("red/"))))
    with pytest.raises(DataError, match="only one class, 'blue'"):
        fit_probe(workbench, project.labels.state)


def test_a_wrong_label_is_doubted(project: Project, workbench: Workbench) -> None:
    """The image that was labelled with the other class is the first in the review queue."""
    train = workbench.labelled(project.labels.state).train.names
    wrong = next(name for name in train if name.startswith("red/"))
    project.do(Label({wrong: ("blue",)}))
    probe = fit_probe(workbench, project.labels.state)
    assert wrong in [doubt.image for doubt in probe.doubts]


def test_suggestions(project: Project, workbench: Workbench) -> None:
    """Images without a label are suggested, with and without a model; dropped ones are not."""
    project.do(Drop(("0.png",)))
    state = project.labels.state
    expected = {f"{index}.png" for index in range(1, 8)}
    for probe in (None, fit_probe(workbench, state)):
        found = suggest(workbench, state, probe)
        assert set(found.next) == expected
        assert set(found.alike[0]) == expected


def test_a_refit_is_as_good(project: Project, workbench: Workbench) -> None:
    """It tries fewer strengths, around the last one, and finds the same."""
    first = fit_probe(workbench, project.labels.state)
    again = fit_probe(workbench, project.labels.state, first)
    assert again.fit.members[0].strength == pytest.approx(first.fit.members[0].strength)
    np.testing.assert_allclose(again.probabilities, first.probabilities, atol=0.01)


def test_several_labels(project: Project, workbench: Workbench) -> None:
    """Each label is predicted by itself; an image without any is labelled."""
    project.do(SetKind("multi"))
    blue = {f"blue/{index}.png": () for index in range(8)}
    project.do(Label({f"red/{index}.png": ("dark", "red") for index in range(4)} | blue))
    probe = fit_probe(workbench, project.labels.state)
    assert probe.predictor.task.name == "multi"
    assert all("red" in guess.labels for guess in probe.guesses.values())
    assert set(suggest(workbench, project.labels.state, probe).next) == set(probe.unlabelled)
    project.do(SetKind("single"))  # The search does not begin at the strengths of each label.
    project.do(Label(dict.fromkeys(probe.unlabelled[:4], ("dark",))))
    assert fit_probe(workbench, project.labels.state, probe).predictor.task.name == "single"


def test_the_limits_come_when_they_are_asked_for(project: Project, workbench: Workbench) -> None:
    """The probe itself does without; the model that is shown knows the training images."""
    probe = fit_probe(workbench, project.labels.state)
    assert probe.predictor.limits.calibration is None
    assert probe.with_limits(workbench).limits.calibration is not None


def test_copies(project: Project, workbench: Workbench) -> None:
    """The same picture, saved again, is found."""
    with Image.open(project.folder / "0.png") as image:
        image.save(project.folder / "again.jpg", quality=95)
    project.find_new()
    workbench.look_at(project.labels.items)
    assert ("0.png", "again.jpg") in workbench.duplicates(sorted(project.labels.items))


def test_the_full_head(project: Project, workbench: Workbench) -> None:
    """It is measured on folds, and says why there is no learning curve for so few images."""
    found = study(workbench, project.labels.state, None, SilentWatcher())
    assert "correct" in found.verdict
    assert found.curve.reason
    assert found.more is None


def test_what_teaches_most_comes_first() -> None:
    """Doubtful images are preferred, and one of each kind comes before a second of any."""
    points = np.repeat(np.eye(3, dtype=np.float32), 50, axis=0)
    sure = np.tile([0.99, 0.01], (150, 1))
    chosen = next_to_label(points, doubt(sure, exclusive=True), 3)
    assert {row // 50 for row in chosen.tolist()} == {0, 1, 2}
    sure[60:80] = 0.5
    doubts = doubt(sure, exclusive=True)
    assert next_to_label(points, doubts, 1)[0] in range(60, 80)
    assert next_to_label(points[:2], doubts[[0, 60]], 5).tolist() == [1, 0]
    assert doubt(np.array([[0.5, 1.0], [0.0, 1.0]]), exclusive=False).tolist() == [1, 0]


def test_points_keep_what_is_near() -> None:
    """Images of one kind stay nearer to each other than to those of others, in few dimensions."""
    generator = np.random.default_rng(0)
    kinds = np.repeat(np.arange(3), 60)
    features = np.eye(200)[kinds] * 20 + generator.normal(size=(180, 200))
    points = points_of(features.astype(np.float32))
    assert points.shape == (180, 64)
    centres = np.stack([points[kinds == kind].mean(axis=0) for kind in range(3)])
    distances = np.linalg.norm(points[:, np.newaxis] - centres, axis=2)
    assert (distances.argmin(axis=1) == kinds).all()


def test_images_that_look_alike() -> None:
    """Each group has images of one kind."""
    generator = np.random.default_rng(0)
    kinds = np.repeat(np.arange(3), 40)
    features = np.eye(3)[kinds] * 10 + generator.normal(scale=0.1, size=(120, 3)) + 5
    groups = alike(features.astype(np.float32))
    assert len(set(zip(kinds.tolist(), groups.tolist(), strict=True))) == len(set(groups.tolist()))
    assert alike(features[:5].astype(np.float32)).tolist() == [0] * 5
