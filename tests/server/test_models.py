"""Several models, and models that are added, replaced, damaged or removed while they are served."""

import asyncio
import gc
import json
import logging
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

import headstart as hs
from headstart.errors import BundleError, ServerError
from headstart.server import models
from headstart.server.app import create_app
from headstart.server.models import Place
from headstart.serving_options import ServeOptions
from tests.commands.conftest import QUICK
from tests.server.conftest import Client, Trained


@pytest.fixture(scope="module")
def other(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return another model, of the same photos with exchanged labels."""
    root = tmp_path_factory.mktemp("other")
    for label, name in (("blue", "red"), ("red", "blue")):
        shutil.copytree(trained.photos / label, root / "photos" / name)
    return hs.train(
        root / "photos", out=root / "exchanged", cache=trained.cache, progress=False, **QUICK
    ).run


@pytest.fixture
def folder(trained: Trained, tmp_path: Path) -> Path:
    """Return a folder that contains one model."""
    shutil.copytree(trained.run, tmp_path / "models" / "first")
    return tmp_path / "models"


def look(client: Client) -> None:
    """Look at the folders now."""
    asyncio.run(client.app.state.headstart.models.refresh())


def label(client: Client, data: bytes, model: str = "") -> str:
    answer = client.post(f"/predict?model={model}" if model else "/predict", data)
    assert answer.status == 200, answer.body
    return answer.json[0]["label"]


def swap(new: Path, place: Path) -> None:
    """Replace a model as one does by hand: copy beside, rename."""
    shutil.copytree(new, place.parent / ".new")
    place.rename(place.parent / ".old")
    (place.parent / ".new").rename(place)
    shutil.rmtree(place.parent / ".old")


def test_several_models_are_served_under_names(
    serve: Callable[..., Client], trained: Trained, other: Path
) -> None:
    client = serve(trained.run, f"inverse={other}")
    (data,) = trained.files(1).values()
    assert client.get("/readyz").json["models"] == ["colours", "inverse"]
    assert label(client, data, "colours") == "blue"
    assert label(client, data, "inverse") == "red"
    answer = client.post("/predict", data)
    assert answer.status == 422
    assert "Name one, with ?model=NAME" in answer.json["detail"]


def test_two_models_of_one_name_are_refused(trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.run, tmp_path / "colours")
    places = (Place.parse(str(trained.run)), Place.parse(str(tmp_path / "colours")))
    app = create_app(places, ServeOptions.of(cache=trained.cache))
    with pytest.raises(ServerError, match=r"Two models are named 'colours'.*colours-2="):
        app.state.headstart.models.load_all()


def test_a_model_is_added_replaced_and_removed(
    serve: Callable[..., Client], trained: Trained, other: Path, folder: Path
) -> None:
    client = serve(folder)
    (data,) = trained.files(1).values()
    assert label(client, data) == "blue"
    before = client.get("/models/first").json["version"]

    shutil.copytree(other, folder / "second")
    look(client)
    assert label(client, data, "second") == "red"

    shutil.rmtree(folder / "second")
    look(client)
    assert client.post("/predict?model=second", data).status == 404

    swap(other, folder / "first")
    look(client)
    assert label(client, data) == "red"
    assert client.get("/models/first").json["version"] != before


def test_changes_are_seen_without_being_told(
    serve: Callable[..., Client],
    trained: Trained,
    other: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(models, "SECONDS", 0.05)
    client = serve(folder / "first")
    swap(other, folder / "first")
    (data,) = trained.files(1).values()
    for _ in range(200):
        if label(client, data) == "red":
            return
    pytest.fail("The new model was not noticed.")


@pytest.mark.parametrize("damage", ["tensors", "config", "no config", "everything"])
def test_the_earlier_model_stays_where_the_new_one_is_damaged(
    serve: Callable[..., Client], trained: Trained, folder: Path, damage: str
) -> None:
    client = serve(folder / "first")
    bundle = folder / "first" / "bundle"
    if damage == "tensors":
        (bundle / "model.safetensors").write_bytes(b"damaged")
    elif damage == "config":
        (bundle / "config.json").write_text("{}")
    elif damage == "no config":
        (bundle / "config.json").unlink()
    else:
        shutil.rmtree(folder / "first")
    look(client)
    (data,) = trained.files(1).values()
    assert label(client, data) == "blue"
    (model,) = client.get("/models").json
    assert "The earlier one is still served" in model["problem"]
    assert client.get("/readyz").status == 200

    shutil.rmtree(folder / "first", ignore_errors=True)
    shutil.copytree(trained.run, folder / "first")
    look(client)
    assert client.get("/models").json[0]["problem"] is None


def test_a_damaged_model_among_others_is_said_and_left_out(
    serve: Callable[..., Client], trained: Trained, folder: Path
) -> None:
    client = serve(folder)
    (folder / "broken" / "bundle").mkdir(parents=True)
    (folder / "broken" / "bundle" / "config.json").write_text(json.dumps({"schema": 99}))
    look(client)
    assert client.get("/readyz").json["models"] == ["first"]
    assert "broken" in client.app.state.headstart.models.problems


def test_a_damaged_model_in_a_folder_does_not_keep_the_others_from_starting(
    serve: Callable[..., Client], folder: Path
) -> None:
    shutil.copytree(folder / "first", folder / "broken")
    (folder / "broken" / "bundle" / "model.safetensors").write_bytes(b"damaged")
    client = serve(folder)
    assert client.get("/readyz").json["models"] == ["first"]
    assert "damaged" in client.app.state.headstart.models.problems["broken"]


def test_a_folder_that_was_emptied_serves_nothing_until_there_is_a_model_again(
    serve: Callable[..., Client], trained: Trained, folder: Path
) -> None:
    client = serve(folder)
    shutil.rmtree(folder / "first")
    look(client)
    assert client.get("/readyz").status == 503
    (data,) = trained.files(1).values()
    assert client.post("/predict", data).status == 503
    shutil.copytree(trained.run, folder / "again")
    look(client)
    assert label(client, data) == "blue"


def test_whatever_fails_while_a_model_is_loaded_the_earlier_one_stays(
    serve: Callable[..., Client],
    trained: Trained,
    other: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = serve(folder / "first")
    swap(other, folder / "first")
    registry = client.app.state.headstart.models
    monkeypatch.setattr(registry, "_load", lambda name, path: 1 / 0)
    look(client)
    (data,) = trained.files(1).values()
    assert label(client, data) == "blue"
    assert "division by zero" in registry.problems["first"]


def test_a_replaced_model_leaves_memory_at_once(
    serve: Callable[..., Client], trained: Trained, other: Path, folder: Path
) -> None:
    client = serve(folder / "first")
    (data,) = trained.files(1).values()
    assert label(client, data) == "blue"
    held = client.app.state.headstart.models.get(None)
    workers, predictor = held._workers, weakref.ref(held.answerer.predictor)
    gc.disable()
    try:
        swap(other, folder / "first")
        look(client)
        del held
        for worker in workers:
            worker.join(10)
        assert predictor() is None
    finally:
        gc.enable()


def test_a_model_is_kept_until_its_requests_are_answered(
    trained: Trained, serve: Callable[..., Client]
) -> None:
    client = serve()
    held = client.app.state.headstart.models.get(None)
    with held.used():
        held.retire()
        (data,) = trained.files(1).values()
        assert client.post("/predict", data).json[0]["label"] == "blue"
    for worker in held._workers:
        worker.join(10)
        assert not worker.is_alive()


@pytest.mark.parametrize(
    ("text", "name"),
    [("runs/cells", "cells"), ("runs/cells/bundle", "cells"), ("a=runs/cells", "a")],
)
def test_the_name_of_a_model(text: str, name: str) -> None:
    assert Place.parse(text).name == name


def test_the_name_of_a_model_on_the_hub() -> None:
    assert Place.parse("hf-hub:owner/name@main") == Place("hf-hub:owner/name@main", "name")
    assert Place.parse("leaves=hf-hub:owner/name") == Place("hf-hub:owner/name", "leaves")


def test_a_wrong_name_or_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="'a b' cannot be the name"):
        Place.parse("a b=runs/cells")
    registry = models.Models((Place.parse(str(tmp_path / "none")),), _never, LOG)
    with pytest.raises(BundleError, match="does not exist"):
        registry.check()
    registry = models.Models((Place.parse(str(tmp_path)),), _never, LOG)
    with pytest.raises(ServerError, match=r"There is no model in .*, and no gallery"):
        registry.load_all()


LOG = logging.getLogger("test")


def _never(name: str, path: str) -> models.ServedModel:
    raise AssertionError(name)
