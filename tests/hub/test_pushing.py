"""A model that is pushed to a hub loads from it and predicts the same; failures are clear."""

import json
import shutil
from dataclasses import replace

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants

import headstart as hs
from headstart.cli import main
from headstart.errors import BundleError, HubError, OptionError, OutputError
from headstart.predictor.bundle import read_bundle, write_bundle
from tests.hub.conftest import point_at

# The client uploads with an argument that its own HTTP library deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")

NAME = "me/solar-cells"
FILES = {"README.md", "config.json", "model.safetensors"}


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Run a command; return its status, stdout and stderr."""
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments)])
    return (int(end.value.code or 0), *capsys.readouterr())


def test_a_pushed_model_predicts_the_same(hub, trained, tmp_path):
    """What is loaded is what was saved, to the bit."""
    model, image = trained
    pushed = hs.push(model, NAME, progress=False)
    assert pushed.repository == NAME and pushed.url == f"{hub.url}/{NAME}"
    assert {file.name for file in pushed.files} == FILES
    cache = tmp_path / "cache"
    loaded = hs.load(f"hf-hub:{NAME}", precision="float32", cache=cache).predict(image)
    expected = hs.load(model, precision="float32", cache=cache).predict(image)
    np.testing.assert_array_equal(loaded.probabilities, expected.probabilities)
    assert loaded.label == expected.label


def test_only_the_files_of_the_bundle_are_sent(hub, trained, tmp_path):
    """Other files in its folder stay; the push is one commit, with its message."""
    folder = shutil.copytree(trained[0], tmp_path / "run" / "bundle")
    (folder / "notes.txt").write_text("not for the hub")
    hs.push(tmp_path / "run", NAME, message="First version", progress=False)
    repository = hub.repositories[NAME]
    assert repository.messages == ["Initial commit", "First version"]
    _, files = repository.files()
    assert files.keys() - {".gitattributes"} == FILES
    assert all(files[name] == (folder / name).read_bytes() for name in FILES)


def test_the_command_says_what_it_sent(hub, trained, capsys):
    """The files, their size, the address, and that config.json tells about the training."""
    status, out, err = run(capsys, "push", trained[0], NAME)
    size = sum((trained[0] / name).stat().st_size for name in FILES) / 1e6
    assert status == 0
    assert out == (
        f"Pushed README.md, config.json, model.safetensors ({size:,.1f} MB) to "
        f"{hub.url}/{NAME} (public).\nUse it with: headstart predict hf-hub:{NAME} IMAGE\n"
    )
    assert f"'{NAME}' is public, with the record of the training in config.json" in err


def test_the_command_prints_json(hub, trained, capsys):
    """With --json, stdout has the result and nothing else."""
    status, out, _ = run(capsys, "push", trained[0], NAME, "--private", "--json")
    values = json.loads(out)
    assert status == 0 and values["private"] is True and hub.repositories[NAME].private
    assert values["commit"] == hub.repositories[NAME].commits[-1][0]
    assert values["model"] == f"hf-hub:{NAME}"
    assert sum(file["bytes"] for file in values["files"]) == values["bytes"]


def test_a_new_version_replaces_the_old(hub, trained):
    """A repository with a model takes another without being asked twice; old versions stay."""
    first = hs.push(trained[0], NAME, progress=False)
    hub.repositories[NAME].commit(hub.repositories[NAME].files()[1] | {"LICENSE": b"mine"})
    huge = hub.repositories[NAME].files()[1] | {"README.md": b"edited on the hub"}
    hub.repositories[NAME].commit(huge)
    again = hs.push(trained[0], NAME, progress=False)
    assert again.commit != first.commit
    assert hub.repositories[NAME].files()[1]["LICENSE"] == b"mine"
    assert hub.repositories[NAME].files(first.commit)


@pytest.mark.parametrize("content", ["weights.bin", "config.json"])
def test_other_content_is_refused(hub, trained, content):
    """A repository of something else is left as it is, unless --overwrite is passed."""
    repository = hub.add(NAME, {content: b'{"model_type": "vit"}'})
    with pytest.raises(OutputError) as caught:
        hs.push(trained[0], NAME, progress=False)
    assert str(caught.value) == (
        f"'{NAME}' exists and has other content ('{content}'), so nothing was pushed. Choose "
        "another name, or pass --overwrite (overwrite=True), which replaces files of the same "
        "name and keeps the others."
    )
    assert len(repository.commits) == 1
    hs.push(trained[0], NAME, overwrite=True, progress=False)
    assert repository.files()[1].keys() >= FILES | {content}


def test_a_public_repository_is_not_private(hub, trained):
    """With --private, nothing is made public by mistake."""
    hs.push(trained[0], NAME, progress=False)
    with pytest.raises(OutputError, match="exists and is public"):
        hs.push(trained[0], NAME, private=True, progress=False)


def test_a_damaged_bundle_is_refused(hub, trained, tmp_path):
    """It is verified before the hub is asked for anything."""
    folder = shutil.copytree(trained[0], tmp_path / "damaged")
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(BundleError, match=r"'model\.safetensors' differs from what was saved"):
        hs.push(folder, NAME, progress=False)
    assert hub.requests == [] and hub.repositories == {}


def test_no_permission(hub, trained):
    """The error names the owner, and says what to do."""
    with pytest.raises(HubError) as caught:
        hs.push(trained[0], "somebody/cells", progress=False)
    assert str(caught.value) == (
        "The model cannot be pushed to 'somebody/cells': your token may not write to 'somebody'. "
        "Choose a repository of your own, or a token with write access: "
        f"{hub.url}/settings/tokens."
    )
    assert hub.repositories == {}


def test_no_token(hub, trained, monkeypatch):
    """The error says where to get one."""
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError) as caught:
        hs.push(trained[0], NAME, progress=False)
    assert str(caught.value) == (
        f"The model cannot be pushed to '{NAME}': you are not logged in. Create a token with write "
        f"access at {hub.url}/settings/tokens, and log in with 'hf auth login', or set HF_TOKEN."
    )


def test_a_wrong_token(hub, trained, monkeypatch):
    """A token that has expired is named as the cause."""
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    with pytest.raises(HubError, match="the hub does not accept your token"):
        hs.push(trained[0], NAME, progress=False)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cells", "it must be OWNER/NAME, with the name of a user or an organisation."),
        ("me/a/b", "it must be OWNER/NAME, with the name of a user or an organisation."),
        ("me/a--b", "Cannot have -- or .. in repo_id: 'me/a--b'."),
        ("me/solar cells", "Repo id must use alphanumeric chars"),
    ],
)
def test_a_name_that_is_not_valid(hub, trained, name, reason):
    """The error says what a valid name is; the hub is not asked."""
    with pytest.raises(OptionError) as caught:
        hs.push(trained[0], name, progress=False)
    text = str(caught.value)
    assert text.startswith(f"'{name}' is not the name of a model on the hub: {reason}")
    assert hub.requests == []


@pytest.mark.parametrize("offline", [True, False])
def test_no_network(hub, trained, monkeypatch, offline):
    """A hub that cannot be reached, and the offline mode, are said at once."""
    if offline:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    else:
        point_at("http://127.0.0.1:9", monkeypatch)
    why = r"the offline mode is on \(HF_HUB_OFFLINE\)" if offline else "cannot be reached"
    with pytest.raises(HubError, match=f"cannot be pushed to '{NAME}': .*{why}"):
        hs.push(trained[0], NAME, progress=False)


def test_a_change_meanwhile_is_not_overwritten(hub, trained, monkeypatch):
    """If the repository changes between the look and the commit, the commit is refused."""
    create = huggingface_hub.HfApi.create_commit

    def late(*arguments, **named):
        hub.repositories[NAME].commit({"other.txt": b"by somebody else"})
        return create(*arguments, **named)

    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", late)
    with pytest.raises(HubError, match="the repository was changed meanwhile"):
        hs.push(trained[0], NAME, progress=False)
    assert list(hub.repositories[NAME].files()[1]) == ["other.txt"]


def test_the_test_hub_refuses_a_wrong_hash(hub, trained):
    """An upload that is damaged on the way is refused by the server, and is an error."""
    hub.spoil = lambda content: content[:-1] + b"\0\0"
    with pytest.raises(HubError, match="The content has another hash than was announced"):
        hs.push(trained[0], NAME, progress=False)
    assert hub.objects == {} and len(hub.repositories[NAME].commits) == 1


def test_a_bundle_of_an_earlier_version_is_pushed_with_a_warning(hub, trained, tmp_path):
    """Its card has no metadata; the hub says so, and takes it."""
    bundle = replace(read_bundle(trained[0]), card="# A card of an earlier version\n")
    write_bundle(bundle, tmp_path / "old")
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        hs.push(tmp_path / "old", NAME, progress=False)
    assert hub.repositories[NAME].files()[1].keys() >= FILES


def test_metadata_that_the_hub_refuses(hub, trained, tmp_path):
    """The reason of the hub is passed on."""
    bundle = replace(read_bundle(trained[0]), card="---\nlicense: mine\n---\n# A card\n")
    write_bundle(bundle, tmp_path / "old")
    with pytest.raises(HubError, match='"license" must be one of the known identifiers'):
        hs.push(tmp_path / "old", NAME, progress=False)
