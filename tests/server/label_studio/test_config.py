"""Labelling configurations."""

import re

import pytest

from headstart.server.label_studio.config import read_config
from headstart.server.refusals import Refusal
from tests.server.label_studio.conftest import recorded

IMAGE = '<Image name="image" value="$image"/>'


def view(inside: str) -> str:
    return f"<View>{inside}</View>"


def test_the_choices_for_the_image_are_found() -> None:
    choices = read_config(recorded("setup")["schema"])
    assert (choices.name, choices.image, choices.key) == ("colour", "image", "image")
    assert not choices.multiple
    assert [choice.name for choice in choices.choices] == ["blue", "red"]


def test_an_alias_is_the_name_in_annotations_and_all_names_may_be_classes() -> None:
    config = view(
        IMAGE + '<Choices name="kind" toName="image" choice="multiple">'
        '<Choice value="Cat (domestic)" alias="cat" predicted_values="tabby, Siamese"/>'
        '<Choice value="Café"/></Choices>'
    )
    choices = read_config(config)
    assert choices.multiple
    classes = ["Cat (domestic)", "tabby", "Siamese", "CAFÉ", "dog"]
    assert choices.by_class(classes) == {
        "Cat (domestic)": "cat",
        "tabby": "cat",
        "Siamese": "cat",
        "CAFÉ": "Café",
    }


def test_choices_of_text_regions_and_the_task_are_passed_over() -> None:
    config = view(
        '<Text name="text" value="$text"/>'
        '<Choices name="mood" toName="text"><Choice value="good"/></Choices>'
        + IMAGE
        + '<Choices name="part" toName="image" perRegion="true"><Choice value="wing"/></Choices>'
        '<Choices name="listed" toName="image" value="$options"/>'
        '<Choices name="kind" toName="text,image"><View><Choice value="bird"/></View></Choices>'
    )
    choices = read_config(config)
    assert (choices.name, choices.image) == ("kind", "image")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("", "not valid XML"),
        ("<View>", "not valid XML"),
        ("<View>\ud800</View>", "no <Choices>"),
        (view(IMAGE), "no <Choices>"),
        (view("<Choice value='a'/>"), "no <Choices>"),
        ("<a>" * 200 + "</a>" * 200, "more than 100 levels"),
        (view(" " * 1_000_001), "more than 1,000,000 bytes"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "must not have a DOCTYPE"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "must not have a DOCTYPE"),
        ("<a>&unknown;</a>", "not valid XML"),
    ],
)
def test_what_cannot_be_used_is_refused(config: str, said: str) -> None:
    with pytest.raises(Refusal, match=re.escape(said)):
        read_config(config)
