"""The labels of a project: every act, undo and redo without end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.errors import ProjectError
from headstart.studio.acts import (
    Act,
    Add,
    AddClass,
    Drop,
    Found,
    Label,
    Redo,
    RemoveClass,
    RenameClass,
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


ACTS: st.SearchStrategy[Act] = st.one_of(
    st.builds(
        Add, st.builds(Found, st.sampled_from(IMAGES), names(CLASSES)).map(lambda one: (one,))
    ),
    st.builds(Label, st.dictionaries(st.sampled_from(IMAGES), names(CLASSES), max_size=2)),
    st.builds(Drop, names(IMAGES), st.booleans()),
    st.builds(AddClass, st.sampled_from(CLASSES)),
    st.builds(RenameClass, st.sampled_from(CLASSES), st.sampled_from(CLASSES)),
    st.builds(RemoveClass, st.sampled_from(CLASSES)),
    st.builds(Undo),
    st.builds(Redo),
)


def state(labels: Labels) -> tuple[tuple[str, ...], dict[str, Item]]:
    """Return what a person sees."""
    return labels.classes, dict(labels.items)


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
    assert state(labels) == ((), {})
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
        assert {name for item in labels.items.values() for name in item.labels} <= set(
            labels.classes
        )


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
