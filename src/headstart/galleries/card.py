"""The card of a gallery: what it searches with, how it decides, and what it keeps of people."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.backbones.licences import describe_licence
from headstart.galleries.settings import GallerySettings
from headstart.predictor.card import escaped

_USE = """\
```
headstart gallery search path/to/this/folder IMAGE
headstart gallery list path/to/this/folder
headstart serve path/to/this/folder
```"""

_KEPT = (
    "- The embedding of each image: numbers by which another picture of the same item or person is "
    "recognised. They are not a picture, but there are methods that draw an approximate face from "
    "the embedding of one.\n"
    "- The name of each image file, the hash of its content, its label, and the other columns of "
    "its table.\n"
    "- Not the pictures."
)

_PEOPLE = (
    "If the images show people, this folder holds personal data. Labels and file names often name "
    "a person, and in many countries an embedding of a face is biometric data, which needs a "
    "legal basis such as consent. Protect the folder as you would protect the pictures.\n\n"
    "To remove someone, with every trace of their embeddings here: `headstart gallery remove "
    "path/to/this/folder LABEL`. With `--forget`, their features are removed from the feature "
    "store in the cache too. Copies of this folder have to be deleted separately."
)


def gallery_card(settings: GallerySettings, images: int, labels: int) -> str:
    """Return the card of a gallery, in Markdown.

    Args:
        settings: The gallery.
        images: The number of its images.
        labels: The number of its labels.
    """
    sections = [
        ("How to use it", _USE),
        ("How it decides", " ".join(_decisions(settings))),
        ("What it keeps", _KEPT),
        ("People", _PEOPLE),
        ("Licence of the weights", _licence(settings)),
    ]
    facts = "\n".join(f"- {fact}" for fact in _facts(settings, images, labels))
    text = ["# Gallery of enrolled images", facts]
    for title, paragraphs in sections:
        text += [f"## {title}", paragraphs]
    return "\n\n".join(text) + "\n"


def _facts(settings: GallerySettings, images: int, labels: int) -> Iterator[str]:
    backbone = settings.backbone
    yield f"Backbone: {escaped(backbone.name)}, {settings.precision}"
    if settings.preprocess.contract.crop == "face":
        yield "Seen of an image: only its largest face, aligned"
    yield f"Compared by: {settings.treatment} {settings.features} features, cosine distance"
    yield (
        f"Enrolled when it was made: {images:,} images of {labels:,} labels; `headstart gallery "
        "list` says how many there are now"
    )
    yield f"Made with headstart {settings.headstart}, {settings.created}"


def _decisions(settings: GallerySettings) -> Iterator[str]:
    certainty = settings.certainty
    yield "An image gets the label of the nearest enrolled image."
    if certainty.limit is None:
        yield (
            "When the gallery was made it had too few images to learn from which distance an image "
            "is unknown, so that every image gets a label."
        )
    else:
        yield (
            f"If that is farther than {certainty.limit:.3f}, it is unknown. This limit was learnt "
            f"by looking up enrolled images among the others: {certainty.false_accepts:.0%} of "
            "strangers are nearer, and get a label that is not theirs. Strangers that look more "
            "alike than the enrolled items do are accepted more often."
        )
    yield "The limit is learnt again when a tenth of the images has changed."
    yield "Where a decision has consequences for people, a person has to check it."


def _licence(settings: GallerySettings) -> str:
    backbone = settings.backbone
    if backbone.origin == "random":
        return "The network was not pretrained, so no licence of pretrained weights applies."
    return (
        f"The pretrained weights that the gallery contains, {backbone.origin}: "
        f"{describe_licence(backbone.licence)}. The images may have terms of their own."
    )
