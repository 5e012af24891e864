"""Galleries in a server: they are searched as `gallery search` does, and changed with a key."""

import io
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import headstart as hs
from headstart.errors import OptionError, ServerError
from headstart.server.app import create_app
from headstart.server.models import Place
from headstart.serving_options import ServeOptions
from tests.commands.test_galleries import QUICK, photo, write_items
from tests.server.conftest import BOUNDARY, Client, Response, Trained, form, serving
from tests.server.test_models import look

ITEMS = 6
KEY = "a-key-of-enough-characters"


@dataclass(frozen=True)
class Goods:
    """A gallery, and the photos that it was made of."""

    folder: Path
    photos: Path
    cache: Path

    def served(self, **options: Any) -> Any:
        return serving(self.folder, cache=self.cache, precision="float32", **options)

    def copied(self, folder: Path) -> "Goods":
        shutil.copytree(self.folder, folder / "goods")
        return Goods(folder / "goods", self.photos, self.cache)


@pytest.fixture(scope="module")
def goods(tmp_path_factory: pytest.TempPathFactory) -> Goods:
    root = tmp_path_factory.mktemp("galleries")
    photos = write_items(root / "photos", range(ITEMS))
    made = Goods(root / "goods", photos, root / "cache")
    hs.Gallery.create(photos, out=made.folder, cache=made.cache, **QUICK)
    return made


@pytest.fixture(scope="module")
def client(goods: Goods) -> Iterator[Client]:
    """A server whose gallery does not change."""
    with goods.served(pictures=goods.photos) as one:
        yield one


@pytest.fixture
def keyed(goods: Goods, tmp_path: Path) -> Iterator[Client]:
    """A server with a key and a gallery of its own, and a client that sends the key."""
    with goods.copied(tmp_path).served(key=KEY) as one:
        one.headers["X-API-Key"] = KEY
        yield one


def png(item: int, number: int) -> bytes:
    file = io.BytesIO()
    photo(item, number).save(file, "PNG")
    return file.getvalue()


def enrol(client: Client, files: dict[str, bytes], name: str = "goods", **fields: str) -> Response:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
        for field, value in fields.items()
    ]
    body = "".join(parts).encode() + form(files)
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    return client.post(f"/galleries/{name}/images", body, kind)


def rounded(values: Any) -> Any:
    return json.loads(json.dumps(values), parse_float=lambda text: round(float(text), 4))


def test_the_answer_is_that_of_gallery_search(client: Client, goods: Goods) -> None:
    files = {f"{item}.png": png(item, 90) for item in range(3)}
    answer = client.post_files("/search?hits=3", files)
    wanted = hs.Gallery(goods.folder, cache=goods.cache, precision="float32").search(
        list(files.values()), hits=3
    )
    assert answer.status == 200
    expected = [one.to_json() | {"image": name} for one, name in zip(wanted, files, strict=True)]
    assert rounded(answer.json) == rounded(expected)
    assert [one["label"] for one in answer.json] == ["item-0", "item-1", "item-2"]
    assert answer.headers["x-model-version"] == client.get("/galleries").json[0]["version"]


def test_a_body_that_is_one_image_is_searched(client: Client) -> None:
    (answer,) = client.post("/search?name=new.png&gallery=goods", png(2, 90)).json
    assert (answer["image"], answer["label"], len(answer["hits"])) == ("new.png", "item-2", 5)
    assert not any("picture" in hit for hit in answer["hits"])


def test_a_stranger_is_unknown(client: Client) -> None:
    (answer,) = client.post("/search", png(ITEMS, 90)).json
    assert answer["unknown"] is True
    assert answer["label"] is None
    assert answer["hits"][0]["label"].startswith("item-")


def test_an_image_that_cannot_be_read_has_an_error_in_its_place(client: Client) -> None:
    answer = client.post_files("/search", {"notes.png": b"Not an image.", "new.png": png(1, 90)})
    first, second = answer.json
    assert first == {"image": "notes.png", "error": "it is not an image of a known format"}
    assert second["label"] == "item-1"
    assert client.post("/search", b"Not an image.").status == 422


def test_hits_have_the_pictures_that_were_enrolled(client: Client, goods: Goods) -> None:
    (answer,) = client.post("/search?pictures=true&hits=2", png(3, 90)).json
    assert [hit["picture"].partition(",")[0] for hit in answer["hits"]] == [
        "data:image/jpeg;base64"
    ] * 2
    changed = goods.photos / answer["hits"][0]["image"]
    before = changed.read_bytes()
    try:  # A file that is not the one that was enrolled is not shown.
        changed.write_bytes(png(5, 1))
        client.app.state.headstart.pictures._made.cache_clear()
        (answer,) = client.post("/search?pictures=true&hits=2", png(3, 90)).json
        assert ["picture" in hit for hit in answer["hits"]] == [False, True]
    finally:
        changed.write_bytes(before)


def test_a_folder_of_pictures_must_exist(goods: Goods, tmp_path: Path) -> None:
    options = ServeOptions.of(cache=goods.cache, pictures=tmp_path / "none")
    with pytest.raises(OptionError, match=r"The folder of pictures '.*none' does not exist"):
        create_app((Place.parse(str(goods.folder)),), options)


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/search?hits=0", 422, "'hits' is not valid"),
        ("/search?hit=2", 422, "There is no option 'hit'. Did you mean 'hits'?"),
        ("/search?gallery=good", 404, "No gallery 'good' is served. Did you mean 'goods'?"),
        ("/predict", 404, "No model is served at the moment. 'goods' is a gallery: POST /search"),
        ("/predict?model=goods", 404, "'goods' is not a model."),
        ("/v2/models/goods/infer", 404, "'goods' is not a model."),
    ],
)
def test_what_is_wrong_is_named(client: Client, path: str, status: int, detail: str) -> None:
    answer = client.post(path, png(1, 90))
    assert answer.status == status
    assert detail in (answer.json.get("detail") or answer.json["error"])


def test_galleries_are_described(client: Client, goods: Goods) -> None:
    (one,) = client.get("/galleries").json
    assert (one["name"], one["images"], one["labels"]) == ("goods", 30, 6)
    assert one["unknown_beyond"] > 0
    assert one["backbone"] == "test_efficientnet"
    assert one["can"] == {"change": False, "pictures": True}
    whole = client.get("/galleries/goods").json
    assert whole["images_of"] == {f"item-{number}": 5 for number in range(ITEMS)}
    assert whole["card"] == (goods.folder / "README.md").read_text()
    assert client.get("/models").json == []
    assert client.get("/readyz").json == {"status": "ready", "models": ["goods"]}
    assert {"/search", "/galleries/{name}/images"} <= set(client.get("/openapi.json").json["paths"])


def test_a_gallery_is_served_beside_a_model(goods: Goods, trained: Trained) -> None:
    """Neither needs to be named, as there is one of each kind."""
    (data,) = trained.files(1).values()
    with serving(trained.run, f"shop={goods.folder}", cache=goods.cache) as client:
        assert client.get("/readyz").json["models"] == ["colours", "shop"]
        assert client.post("/predict", data).json[0]["label"] == "blue"
        assert client.post("/search", png(2, 90)).json[0]["label"] == "item-2"
        refused = client.post("/search?gallery=colours", data)
        assert refused.status == 404
        assert "'colours' is a model: POST /predict?model=colours" in refused.json["detail"]


def test_searches_are_counted_and_logged(goods: Goods, tmp_path: Path) -> None:
    import pyarrow.dataset as ds

    with goods.served(log=tmp_path / "log") as client:
        client.post_files("/search", {"a.png": png(1, 90), "b.png": png(ITEMS, 90)})
        numbers = client.get("/metrics").body.decode()
    assert 'headstart_images_total{model="goods",result="unknown"} 1.0' in numbers
    assert 'headstart_requests_total{route="/search",status="200"} 1.0' in numbers
    table = ds.dataset(tmp_path / "log").to_table()
    assert table["answer"][0].as_py() == "item-1"
    assert table["unknown"].to_pylist() == [False, True]


def test_options_for_classifiers_are_refused(goods: Goods, tmp_path: Path) -> None:
    values = {"log": tmp_path / "log", "log_features": True}
    app = create_app(
        (Place.parse(str(goods.folder)),), ServeOptions.of(cache=goods.cache, **values)
    )
    with pytest.raises(ServerError, match=r"but '.*goods' is a gallery"):
        app.state.headstart.models.load_all()


def test_without_a_key_nothing_is_changed(client: Client) -> None:
    for answer in (
        enrol(client, {"new.png": png(ITEMS, 1)}, label="new"),
        client.send("DELETE", "/galleries/goods/labels/item-1"),
    ):
        assert answer.status == 403
        assert "--api-key-file" in answer.json["detail"]
    assert client.get("/galleries").json[0]["images"] == 30


def test_with_a_wrong_key_nothing_is_changed(keyed: Client) -> None:
    stranger = Client(keyed.port)
    assert enrol(stranger, {"new.png": png(ITEMS, 1)}, label="new").status == 401
    assert stranger.send("DELETE", "/galleries/goods/labels/item-1").status == 401
    assert keyed.get("/galleries").json[0]["images"] == 30


@pytest.mark.parametrize("label", ["Becher „Käse“ 50 % / 2", "مرحبا", "a?b#c&d=e", "<b>x</b>"])
def test_what_is_enrolled_is_found_at_once_and_can_be_removed(keyed: Client, label: str) -> None:
    assert keyed.post("/search", png(ITEMS, 90)).json[0]["unknown"] is True
    files = {f"{number}.png": png(ITEMS, number) for number in range(2)}
    answer = enrol(keyed, files, label=f" {label} ", fields='{"price": "3.20"}')
    assert answer.status == 200, answer.body
    assert answer.json == {
        "gallery": "goods",
        "label": label,
        "images": 32,
        "labels": 7,
        "changed": 2,
        "enrolled_before": [],
        "rejected": [],
    }
    (found,) = keyed.post("/search", png(ITEMS, 90)).json
    assert (found["label"], found["unknown"]) == (label, False)
    assert found["hits"][0]["fields"] == {"price": "3.20"}
    assert found["hits"][0]["image"].startswith(f"{label}/")
    removed = keyed.send("DELETE", f"/galleries/goods/labels/{quote(label, safe='')}")
    assert (removed.status, removed.json["changed"], removed.json["labels"]) == (200, 2, 6)
    assert keyed.post("/search", png(ITEMS, 90)).json[0]["unknown"] is True


def test_a_copy_is_named_and_not_added_again(keyed: Client, goods: Goods) -> None:
    data = (goods.photos / "item-2/2-0.png").read_bytes()
    answer = enrol(keyed, {"again.png": data, "new.png": png(2, 50)}, label="item-2")
    assert answer.json["changed"] == 1
    assert answer.json["enrolled_before"] == ["item-2/again.png"]


def test_nothing_is_half_added(keyed: Client, goods: Goods) -> None:
    """One image that is another item, or that is not an image, refuses all of them."""
    data = (goods.photos / "item-2/2-0.png").read_bytes()
    answer = enrol(keyed, {"new.png": png(ITEMS, 1), "other.png": data}, label="new")
    assert answer.status == 422
    assert "'item-2/2-0.png' with the label 'item-2' instead of 'new'" in answer.json["detail"]
    answer = enrol(keyed, {"new.png": png(ITEMS, 1), "notes.png": b"x"}, label="new")
    assert answer.status == 422
    assert answer.json["images"][0]["image"] == "notes.png"
    assert "Nothing was added" in answer.json["detail"]
    assert keyed.get("/galleries").json[0]["images"] == 30


@pytest.mark.parametrize(
    ("fields", "files", "detail"),
    [
        ({}, True, "no field 'label'"),
        ({"label": "  "}, True, "must be the name of an item"),
        ({"label": "a\nb"}, True, "line break"),
        ({"label": "x" * 201}, True, "at most 200 characters"),
        ({"label": "a"}, False, "contains no file"),
        ({"label": "a", "fields": "[1]"}, True, "must be a JSON object of texts"),
        ({"label": "a", "price": "3"}, True, "There is no field 'price'"),
    ],
)
def test_a_form_that_is_not_complete_is_refused(
    keyed: Client, fields: dict[str, str], files: bool, detail: str
) -> None:
    answer = enrol(keyed, {"new.png": png(ITEMS, 1)} if files else {}, **fields)
    assert answer.status == 422
    assert detail in answer.json["detail"]


def test_what_is_not_there_cannot_be_removed(keyed: Client) -> None:
    answer = keyed.send("DELETE", "/galleries/goods/labels/item-77")
    assert answer.status == 404
    assert "has no label 'item-77'" in answer.json["detail"]
    assert keyed.send("DELETE", "/galleries/none/labels/item-1").status == 404


def test_an_empty_gallery_says_what_to_do_and_can_be_filled(keyed: Client) -> None:
    for number in range(ITEMS):
        assert keyed.send("DELETE", f"/galleries/goods/labels/item-{number}").status == 200
    answer = keyed.post("/search", png(1, 90))
    assert answer.status == 422
    assert "is empty" in answer.json["detail"]
    assert enrol(keyed, {"new.png": png(1, 1)}, label="new").status == 200
    assert keyed.post("/search", png(1, 90)).json[0]["label"] == "new"


def test_an_empty_gallery_can_be_served(goods: Goods, tmp_path: Path) -> None:
    empty = goods.copied(tmp_path)
    gallery = hs.Gallery(empty.folder, cache=empty.cache)
    gallery.remove(labels=list(gallery.labels()))
    with empty.served(key=KEY) as client:
        client.headers["X-API-Key"] = KEY
        assert enrol(client, {"new.png": png(1, 1)}, label="new").status == 200


def test_what_another_process_adds_is_found_at_once(keyed: Client, goods: Goods) -> None:
    """Also what distances mean then."""
    folder = keyed.app.state.headstart.models.gallery(None).answerer.store.folder
    more = write_items(folder.parent / "more", range(ITEMS, ITEMS + 1))
    hs.Gallery(folder, cache=goods.cache, precision="float32").add(more, progress=False)
    assert keyed.post("/search", png(ITEMS, 90)).json[0]["label"] == f"item-{ITEMS}"
    limit = json.loads((folder / "gallery.json").read_text())["certainty"]["limit"]
    assert keyed.get("/galleries").json[0]["unknown_beyond"] == limit


def test_a_gallery_that_is_made_again_or_deleted_is_noticed(keyed: Client, goods: Goods) -> None:
    store = keyed.app.state.headstart.models.gallery(None).answerer.store
    shutil.rmtree(store.folder)
    answer = keyed.post("/search", png(1, 90))
    assert answer.status == 422
    assert "does not exist" in answer.json["detail"]
    assert "does not exist" in keyed.get("/galleries").json[0]["problem"]
    photos = write_items(store.folder.parent / "others", range(20, 26))
    hs.Gallery.create(photos, out=store.folder, cache=goods.cache, **QUICK)
    assert "was replaced" in keyed.post("/search", png(21, 90)).json["detail"]
    look(keyed)
    assert keyed.post("/search", png(21, 90)).json[0]["label"] == "item-21"


def test_searches_go_on_while_a_gallery_changes(keyed: Client) -> None:
    """Each of them sees the gallery before or after a change."""
    problems: list[Response] = []
    over = threading.Event()

    def keep_searching() -> None:
        while not over.is_set():
            answer = keyed.post("/search", png(1, 90))
            if answer.status != 200 or answer.json[0]["label"] != "item-1":
                problems.append(answer)

    searching = threading.Thread(target=keep_searching)
    searching.start()
    for number in range(6):
        assert enrol(keyed, {"new.png": png(ITEMS, number)}, label="new").status == 200
        assert keyed.send("DELETE", "/galleries/goods/labels/new").status == 200
    over.set()
    searching.join()
    assert problems == []
