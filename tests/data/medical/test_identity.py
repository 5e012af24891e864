"""Names of files that would identify a patient."""

import unicodedata

import pytest

from headstart.data.medical.identity import Identity

DOE = Identity.of(["Doe^John"], ["PAT-0042", "123"], "19700131")
MUELLER = Identity.of(["M\u00fcller^Anna Maria"], [], "")
LI = Identity.of(["Wu^Li"], ["7"], "")


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        (DOE, "a/Doe_John_1.dcm"),
        (DOE, "JohnDoe01.dcm"),
        (DOE, "doe1.dcm"),
        (DOE, "scan 1970-01-31.dcm"),
        (DOE, "scan31011970.dcm"),
        (DOE, "pat-0042_2.dcm"),
        (DOE, "PAT-0042/IM1"),
        (DOE, "123.dcm"),
        (MUELLER, "M\u00fcller_1.dcm"),
        (MUELLER, unicodedata.normalize("NFD", "M\u00fcller_1.dcm")),
        (MUELLER, "Mueller.dcm"),
        (MUELLER, "muller2.dcm"),
        (LI, "Wu_Li.dcm"),
    ],
)
def test_names_that_identify(identity: Identity, name: str) -> None:
    """In any spelling, order and separation."""
    assert identity.occurs_in(name)


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        (DOE, "a/IM0001.dcm"),
        (DOE, "1.2.840.113619.2.dcm"),
        (DOE, "dozen.dcm"),
        (DOE, "x1234.dcm"),
        (MUELLER, "multi.dcm"),
        (LI, "li.dcm"),
        (LI, "7.dcm"),
        (Identity.of([""], [""], ""), "a/1.dcm"),
    ],
)
def test_names_that_do_not_identify(identity: Identity, name: str) -> None:
    """Numbers, other words, and parts that are too short to say anything."""
    assert not identity.occurs_in(name)


def test_several_patients() -> None:
    """What is known of each is looked for."""
    both = Identity()
    both.add(DOE)
    both.add(MUELLER)
    assert both.occurs_in("doe.dcm")
    assert both.occurs_in("anna.dcm")
