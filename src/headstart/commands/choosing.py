"""Steps 1 and 2: choose a pretrained backbone, and load it without its classifier."""

from collections.abc import Sequence

from headstart.backbones.backbone import Backbone, load_backbone
from headstart.backbones.licences import licence_warning
from headstart.choosing.candidates import Candidate, candidates_of
from headstart.choosing.trials import try_backbones
from headstart.cluster.machines import Machines
from headstart.commands.clock import Clock
from headstart.data.images import Images
from headstart.options import TrainOptions, TryOptions
from headstart.record import Recommendation
from headstart.watching import Watcher


def compare_backbones(
    images: Images,
    candidates: Sequence[Candidate],
    options: TryOptions,
    watcher: Watcher,
    machines: Machines,
) -> Recommendation:
    """Recommend a backbone for images.

    Args:
        images: The images.
        candidates: The backbones.
        options: What to compare them on.
        watcher: Follows the trials.
        machines: Where features are computed.
    """
    tried = machines.shortlist(candidates, images.train, options)
    return try_backbones(images.train, images.val, tried, options, watcher, machines.extract)


def choose_backbone(
    images: Images,
    options: TrainOptions,
    watcher: Watcher,
    clock: Clock,
    machines: Machines,
) -> tuple[str, str, Recommendation | None]:
    """Return the name and weights of the requested or recommended backbone."""
    if options.backbone != "auto":
        return options.backbone, options.weights, None
    with clock.step("recommend"):
        candidates = candidates_of(options.backbones)
        recommendation = compare_backbones(images, candidates, options, watcher, machines)
    return recommendation.recommended, recommendation.weights, recommendation


def load_chosen(
    name: str, weights: str, options: TrainOptions, watcher: Watcher, clock: Clock
) -> Backbone:
    """Load the backbone, and warn of a licence or weights that do not suit every use.

    Raises:
        BackboneError: It cannot be loaded.
        OptionError: It does not have the part to fine-tune.
    """
    with clock.step("load"), watcher.stage("Loading the backbone"):
        backbone = _load(name, weights, options, watcher)
    if text := licence_warning(name, backbone.licence):
        watcher.warn(text)
    if weights == "random":
        watcher.warn(
            f"The weights of '{name}' are random, not pretrained. Use this for tests only."
        )
    return backbone


def _load(name: str, weights: str, options: TrainOptions, watcher: Watcher) -> Backbone:
    """Load the backbone, and check that it has the part to fine-tune."""
    backbone = load_backbone(
        name,
        weights=weights,
        image_size=options.image_size,
        orientations=options.orientations,
        scales=options.scales,
        fit=options.fit,
        seed=options.seed,
        note=watcher.note,
    )
    if options.recipe == "tutorial":
        backbone.size_is_open = backbone.fit_is_open = False
    if options.tune not in ("none", "auto", "all"):
        backbone.parts().first_trainable(options.tune)  # Raises if it does not exist.
    return backbone
