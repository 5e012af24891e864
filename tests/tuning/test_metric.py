"""Metric tuning: what it learns, how it is judged, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

import headstart as hs
from headstart.cli import main
from headstart.errors import DataError, OptionError
from headstart.tasks.single import Single
from headstart.tuning import metric
from headstart.tuning.metric import Likeness, Proxies, require_metric_learning, split_labels
from tests.commands.test_galleries import photo, write_items
from tests.conftest import TINY

ITEMS = 6


@pytest.fixture(scope="module")
def goods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_items(tmp_path_factory.mktemp("metric") / "goods", range(ITEMS), range(8))


def test_whole_labels_are_held_out() -> None:
    """Labels with one image are learnt from, but do not judge."""
    targets = np.repeat(np.arange(11), [5] * 10 + [1])
    learnt, held_out = split_labels(targets, seed=3)
    assert sorted([*learnt, *held_out]) == list(range(51))
    assert not set(targets[learnt]) & set(targets[held_out])
    assert len(set(targets[held_out])) == 5 and 10 in targets[learnt]
    assert np.array_equal(split_labels(targets, seed=3)[1], held_out)
    with pytest.raises(DataError, match=r"at least 4 labels with two images or more\. There are 3"):
        split_labels(np.array([0, 0, 1, 1, 2, 2, 3]), seed=0)


def test_the_loss_draws_images_to_their_label() -> None:
    """A few steps on free points bring those of a label together."""
    labels = np.array([1, 3])
    proxies = Proxies(4, labels, 5, seed=0)
    points = torch.nn.Parameter(torch.randn(8, 4, generator=torch.Generator().manual_seed(1)))
    targets = np.repeat(labels, 4)
    truth = Single().encode(targets, 5)
    objective = Likeness(proxies, targets, np.arange(8))
    before = objective.measure(points.detach().numpy(), np.arange(8))
    optimiser = torch.optim.Adam([points, *proxies.parameters()], lr=0.1)
    for _ in range(40):
        optimiser.zero_grad()
        objective.loss(proxies(points), truth).backward()
        optimiser.step()
    after = objective.measure(points.detach().numpy(), np.arange(8))
    assert after[0] < before[0]
    assert after[1] == 1


def test_a_model_is_tuned_for_galleries(goods: Path, tmp_path: Path) -> None:
    """Frozen and tuned network are compared on labels that were not learnt from."""
    result = hs.train(
        goods,
        backbone=TINY,
        weights="random",
        precision="float32",
        objective="metric",
        tune="stages:2",
        epochs=3,
        learning_rate=1e-3,
        out=tmp_path / "run",
        cache=tmp_path / "cache",
        test=0.0,
        progress=False,
    )
    found = result.record.metric_tuning
    assert (found.labels, found.images, len(found.epochs)) == (3, 24, 3)
    assert found.kept == (result.record.tuned == "stages:2")
    better = found.tuned_recall_at_1 > found.frozen_recall_at_1
    assert found.kept == (better and found.tuned_map_at_r >= found.frozen_map_at_r)
    assert "on 3 labels that were not learnt from (24 images): recall@1" in found.sentence
    assert result.model.checkpoints is not None  # They are deleted when the run is written.
    assert not list(result.model.checkpoints.rglob("checkpoint*"))
    page = (tmp_path / "run/report.html").read_text()
    assert "Did metric tuning help?" in page and "on 3 labels that it had not learned from" in page
    gallery = hs.Gallery.create(
        goods, out=tmp_path / "gallery", model=tmp_path / "run", cache=tmp_path / "cache"
    )
    assert gallery.search(photo(2, 70)).labels[0].label == "item-2"


def test_a_tuned_network_is_another_one(goods: Path, tmp_path: Path, monkeypatch) -> None:
    """If it is kept, its features differ, and the head is fitted on them."""
    settings = {"backbone": TINY, "weights": "random", "precision": "float32", "test": 0.0}
    monkeypatch.setattr(metric, "_better", lambda tuned, frozen: True)
    tuned = hs.train(
        goods,
        out=tmp_path / "tuned",
        cache=tmp_path / "c",
        objective="metric",
        epochs=1,
        progress=False,
        **settings,
    )
    frozen = hs.train(
        goods, out=tmp_path / "frozen", cache=tmp_path / "c", progress=False, **settings
    )
    assert tuned.record.tuned == "stages:1" and frozen.record.tuned is None
    weights = [one.model.extractor.fingerprint.weights for one in (tuned, frozen)]
    assert weights[0] != weights[1]
    assert tuned.model.predict(photo(1, 60)).label == "item-1"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"recipe": "tutorial"}, "--recipe tutorial has no effect with --objective metric"),
        ({"mixup": 0.2}, "--mixup 0.2 has no effect with --objective metric"),
    ],
)
def test_what_does_not_go_together(goods: Path, options, problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        hs.train(goods, objective="metric", backbone=TINY, progress=False, **options)


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"pip install 'headstart\[metric\]'"):
        require_metric_learning()


def test_too_few_labels_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_items(tmp_path / "few", range(3), range(4))
    folders = ["--cache", str(tmp_path / "c"), "--out", str(tmp_path / "run")]
    network = ["--backbone", TINY, "--weights", "random", "--test", "0"]
    with pytest.raises(SystemExit) as end:
        main(["train", str(data), "--objective", "metric", *network, *folders])
    assert end.value.code == 1
    assert "at least 4 labels with two images" in " ".join(capsys.readouterr().err.split())
