"""The live probe and the suggestions, on a tiny network."""

from pathlib import Path

import numpy as np
import pytest

import headstart as hs
from headstart.errors import DataError
from headstart.features.extractor import FeatureExtractor
from headstart.studio.acts import Drop, Label
from headstart.studio.probing import fit_probe, suggest
from headstart.studio.project import Project
from headstart.studio.suggestions import alike, next_to_label
from headstart.studio.workbench import Workbench
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
    items = project.labels.items
    probe = fit_probe(workbench, items, project.labels.number)
    assert set(probe.guesses) == {f"{index}.png" for index in range(8)}
    assert {guess.label for guess in probe.guesses.values()} == {"red"}
    assert probe.evaluation
    assert probe.images == len(workbench.labelled(items).train) < 16  # The others are test images.
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
        fit_probe(workbench, project.labels.items, 0)


def test_a_wrong_label_is_doubted(project: Project, workbench: Workbench) -> None:
    """The image that was labelled with the other class is the first in the review queue."""
    train = workbench.labelled(project.labels.items).train.names
    wrong = next(name for name in train if name.startswith("red/"))
    project.do(Label({wrong: ("blue",)}))
    probe = fit_probe(workbench, project.labels.items, 1)
    assert wrong in [doubt.image for doubt in probe.doubts]


def test_suggestions(project: Project, workbench: Workbench) -> None:
    """Images without a label are suggested, with and without a model; dropped ones are not."""
    project.do(Drop(("0.png",)))
    items = project.labels.items
    expected = {f"{index}.png" for index in range(1, 8)}
    for probe in (None, fit_probe(workbench, items, 1)):
        found = suggest(workbench, items, probe)
        assert set(found.next) == expected
        assert set(found.alike[0]) == expected


def test_what_teaches_most_comes_first() -> None:
    """Doubtful images are preferred, and one of each kind comes before a second of any."""
    features = np.repeat(np.eye(3, dtype=np.float32), 50, axis=0)
    sure = np.tile([0.99, 0.01], (150, 1))
    assert {row // 50 for row in next_to_label(features, sure, 3).tolist()} == {0, 1, 2}
    doubtful = sure.copy()
    doubtful[60:80] = 0.5
    assert next_to_label(features, doubtful, 1)[0] in range(60, 80)
    assert next_to_label(features[:2], doubtful[[0, 60]], 5).tolist() == [1, 0]


def test_images_that_look_alike() -> None:
    """Each group has images of one kind."""
    generator = np.random.default_rng(0)
    kinds = np.repeat(np.arange(3), 40)
    features = np.eye(3)[kinds] * 10 + generator.normal(scale=0.1, size=(120, 3)) + 5
    groups = alike(features.astype(np.float32))
    assert len(set(zip(kinds.tolist(), groups.tolist(), strict=True))) == len(set(groups.tolist()))
    assert alike(features[:5].astype(np.float32)).tolist() == [0] * 5
