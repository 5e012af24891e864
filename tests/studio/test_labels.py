"""The labels of a project: every act, undo and redo without end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.errors import ProjectError
from headstart.studio.acts import (
    Act,
    Add,
    AddClass,
    Box,
    Draw,
    Drop,
    Found,
    Keep,
    Label,
    Redo,
    RemoveClass,
    RenameClass,
    SetKind,
    Undo,
    act_of,
    row_of,
)
from headstart.studio.labels import Item, Labels

IMAGES = ("a.png", "b.png", "c.png")
CLASSES = ("clean", "rust", "<b>🙂</b>")


def names(of: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    """Return some of them."""
    return st.lists(st.sampled_from(of), max_size=2).map(tuple)


BOXES = st.builds(Box, st.sampled_from(CLASSES), *(st.floats(0, 9) for _ in range(4)))

ACTS: st.SearchStrategy[Act] = st.one_of(
    st.builds(
        Add, st.builds(Found, st.sampled_from(IMAGES), names(CLASSES)).map(lambda one: (one,))
    ),
    st.builds(
        Label,
        st.dictionaries(st.sampled_from(IMAGES), st.none() | names(CLASSES), max_size=2),
    ),
    st.builds(
        Draw,
        st.sampled_from(IMAGES),
        st.none() | st.lists(BOXES, max_size=2).map(tuple),
    ),
    st.builds(Keep, names(IMAGES)),
    st.builds(SetKind, st.sampled_from(["single", "multi", "boxes"])),
    st.builds(Drop, names(IMAGES), st.booleans()),
    st.builds(AddClass, st.sampled_from(CLASSES)),
    st.builds(RenameClass, st.sampled_from(CLASSES), st.sampled_from(CLASSES)),
    st.builds(RemoveClass, st.sampled_from(CLASSES)),
    st.builds(Undo),
    st.builds(Redo),
)


def state(labels: Labels) -> tuple[str, tuple[str, ...], dict[str, Item]]:
    """Return what a person sees."""
    return labels.kind, labels.classes, dict(labels.items)


def done(*acts: Act) -> Labels:
    """Return the labels after some acts."""
    labels = Labels()
    for act in acts:
        labels.apply(act)
    return labels


@given(st.lists(ACTS, max_size=30))
def test_undo_and_redo_lead_through_the_same_states(acts: list[Act]) -> None:
    """Undo goes back to the beginning, redo to the end; a refused act changes nothing."""
    labels = Labels()
    for act in acts:
        before = state(labels), labels.number
        try:
            labels.apply(act)
        except ProjectError:
            assert (state(labels), labels.number) == before
    steps = []
    while labels.can_undo:
        steps.append(state(labels))
        labels.apply(Undo())
    kind, classes, items = state(labels)  # Images that were added stay, as they came.
    assert kind == "single"
    assert {name for item in items.values() for name in item.labels or ()} <= set(classes)
    for step in reversed(steps):
        labels.apply(Redo())
        assert state(labels) == step


@given(st.lists(ACTS, max_size=30))
def test_a_journal_is_read_as_it_was_written(acts: list[Act]) -> None:
    """Each act survives its way through JSON, and labels are only of classes that are there."""
    assert [act_of(row_of(act)) for act in acts] == acts
    labels = Labels()
    for act in acts:
        try:
            labels.apply(act)
        except ProjectError:
            continue
        items = labels.items.values()
        assert {name for item in items for name in item.labels or ()} <= set(labels.classes)
        assert all(len(item.labels or "a") == 1 for item in items) or labels.kind != "single"
        for item in items:
            assert {box.label for box in item.boxes} == set(item.labels or ()) or not item.boxes
            assert not item.boxes or labels.kind == "boxes"


@given(st.lists(ACTS, max_size=20), st.integers(0, 20))
def test_another_tab_learns_what_has_changed(acts: list[Act], at: int) -> None:
    """The changes since a number of acts, on top of the state at that time, are the state now."""
    labels, seen, number = Labels(), {}, 0
    for index, act in enumerate(acts):
        if index == at:
            seen, number = dict(labels.items), labels.number
        try:
            labels.apply(act)
        except ProjectError:
            continue
    if at >= len(acts):
        seen, number = dict(labels.items), labels.number
    for name, item in labels.changed_since(number).items():
        if item is None:
            seen.pop(name, None)
        else:
            seen[name] = item
    assert seen == labels.items


def test_a_class_is_renamed_and_merged() -> None:
    """A new name moves its images; the name of another class merges the two."""
    labels = done(
        Add((Found("a.png", ("rust",)), Found("b.png", ("rusty",)), Found("c.png"))),
        RenameClass("rust", "corrosion"),
    )
    assert labels.classes == ("corrosion", "rusty")
    assert labels.items["a.png"].labels == ("corrosion",)
    labels.apply(RenameClass("rusty", "corrosion"))
    assert labels.classes == ("corrosion",)
    assert labels.items["b.png"].labels == ("corrosion",)
    labels.apply(Undo())
    assert labels.classes == ("corrosion", "rusty")
    assert labels.items["b.png"].labels == ("rusty",)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (Undo(), "nothing to undo"),
        (Redo(), "nothing to redo"),
        (Label({"x.png": ("rust",)}), "'x.png' is not in the project"),
        (Drop(("x.png",)), "'x.png' is not in the project"),
        (AddClass(" "), "needs a name"),
        (AddClass("rust "), "spaces around it"),
        (AddClass("a\nb"), "cannot be shown"),
        (AddClass("a|b"), "missing label, or as several"),
        (AddClass("NaN"), "missing label, or as several"),
        (SetKind("single"), "of that kind already"),
        (Add((Found("../a.png"),)), "not within the project"),
        (Add((Found("/etc/hostname"),)), "not within the project"),
        (AddClass("x" * 201), "at most 200 bytes"),
        (RenameClass("rust", "clean"), "no class 'rust'"),
        (RemoveClass("rust"), "no class 'rust'"),
    ],
)
def test_what_is_impossible_is_refused(act: Act, message: str) -> None:
    """The message says what is wrong, and nothing has changed."""
    labels = Labels()
    with pytest.raises(ProjectError, match=message):
        labels.apply(act)
    assert labels.number == 0


def test_a_class_that_comes_with_images_stays() -> None:
    """Undo of what was done before they came does not take it away."""
    labels = done(Add((Found("a.png"),)), AddClass("rust"), Add((Found("b.png", ("dent",)),)))
    labels.apply(Undo())
    assert labels.classes == ("dent",)
    assert labels.items["b.png"].labels == ("dent",)
    labels.apply(Redo())
    assert set(labels.classes) == {"rust", "dent"}


def test_what_a_model_learns() -> None:
    """A label changes it, a new class or a review does not."""
    labels = done(Add((Found("a.png", ("rust",)), Found("b.png"))))
    known = labels.lesson
    for act in (AddClass("dent"), Keep(("a.png",)), Drop(("b.png",))):
        labels.apply(act)
        assert labels.lesson == known
    labels.apply(Label({"a.png": ("dent",)}))
    assert labels.lesson == labels.number


def test_names_in_two_forms_of_unicode() -> None:
    """They are one class."""
    labels = done(Add((Found("a.png"),)), AddClass("Gr\u00f6\u00dfe"))
    labels.apply(Label({"a.png": ("Gro\u0308\u00dfe",)}))
    assert labels.classes == ("Gr\u00f6\u00dfe",)


def test_an_image_has_one_label_or_several() -> None:
    """Several labels are refused where there is one, and taken away when the kind is set back."""
    labels = done(Add((Found("a.png"), Found("b.png"))), AddClass("rust"), AddClass("dent"))
    with pytest.raises(ProjectError, match="one label"):
        labels.apply(Label({"a.png": ("dent", "rust")}))
    labels.apply(SetKind("multi"))
    labels.apply(Label({"a.png": ("rust", "dent"), "b.png": ()}))
    assert labels.items["a.png"].labels == ("dent", "rust")
    assert labels.items["b.png"].labels == ()
    labels.apply(SetKind("single"))
    assert [item.labels for item in labels.items.values()] == [None, None]
    labels.apply(Undo())
    assert labels.items["b.png"].labels == ()


def test_boxes() -> None:
    """Boxes give an image its labels, follow the names of classes, and go with them."""
    labels = done(Add((Found("a.png"),)), SetKind("boxes"))
    labels.apply(Draw("a.png", (Box("car", 0, 0, 5, 5), Box("cat", 1, 1, 2, 2))))
    assert labels.items["a.png"].labels == labels.classes == ("car", "cat")
    labels.apply(RenameClass("cat", "dog"))
    assert labels.items["a.png"].boxes[1] == Box("dog", 1, 1, 2, 2)
    labels.apply(RemoveClass("car"))
    assert labels.items["a.png"].boxes == (Box("dog", 1, 1, 2, 2),)
    labels.apply(RemoveClass("dog"))
    assert labels.items["a.png"].labels == ()  # There is nothing to see in it.
    for boxes in ((Box("car", 3, 0, 3, 5),), (Box("car", -1, 0, 3, 5),)):
        with pytest.raises(ProjectError, match="no area"):
            labels.apply(Draw("a.png", boxes))
    with pytest.raises(ProjectError, match="labels are boxes"):
        labels.apply(Label({"a.png": ("car",)}))
    with pytest.raises(ProjectError, match="of whole images"):
        done(Add((Found("a.png"),))).apply(Draw("a.png", ()))


def test_a_new_label_is_to_be_reviewed_again() -> None:
    """What was kept is no longer, once its label has changed."""
    labels = done(Add((Found("a.png", ("rust",)),)), Keep(("a.png",)))
    assert labels.items["a.png"].kept
    labels.apply(Label({"a.png": ("dent",)}))
    assert not labels.items["a.png"].kept
