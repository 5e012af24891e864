"""Step 6, fine-tune the last layers, and say what came of it."""

from functools import partial
from pathlib import Path

from headstart.cache import cache_folder
from headstart.classifier import Classifier
from headstart.cluster.machines import Machines
from headstart.commands.clock import Clock
from headstart.data.images import Images
from headstart.files import size_of
from headstart.options import TrainOptions
from headstart.record import Tuning
from headstart.tuning.fine_tuning import Keep
from headstart.watching import Watcher, with_place

# Bytes of data that fine-tuning leaves in the cache without a word.
MUCH_SPACE = 100_000_000


def fine_tune(
    model: Classifier,
    images: Images,
    checkpoints: Path,
    run: Path,
    options: TrainOptions,
    watcher: Watcher,
    clock: Clock,
    machines: Machines,
) -> None:
    """Fine-tune on the training part, and say if the result was not kept."""
    metric = options.objective == "metric"
    name = "Metric tuning" if metric else "Fine-tuning"
    keep: Keep = "always" if options.recipe == "tutorial" else "better"
    tune = model.tune_metric if metric else partial(model.tune, keep=keep, trainer=machines.train)
    with clock.step("tune"), watcher.stage(name) as advance:
        progress = with_place(advance, lambda place: watcher.note(f"Resuming in {run} at {place}"))
        report = tune(
            images.train,
            options,
            val=images.val,
            part=options.tune,
            checkpoints=checkpoints,
            resume=options.resume,
            progress=progress,
            watcher=watcher,
        )
    if report is None:  # The reason has been said.
        return
    if report.stopped:
        watcher.warn(f"{name} ended early: {report.stopped}.")
    if isinstance(report, Tuning) and not report.kept:
        say = watcher.note if report.why_not else watcher.warn
        say(f"{_why_not(report)}, so the backbone stays frozen.")


def _why_not(report: Tuning) -> str:
    """Return why a fine-tuned model was not kept."""
    if not report.why_not:
        return f"Fine-tuning {report.part} did not finish an epoch"
    return (
        f"Fine-tuning {report.part} {report.why_not} ({report.tuned_accuracy:.1%} and log loss "
        f"{report.tuned_log_loss:.3f} on {report.images} held-out images; the frozen backbone "
        f"{report.probe_accuracy:.1%} and {report.probe_log_loss:.3f}; the difference is "
        f"{abs(report.loss_gain_errors or 0.0):.1f} standard errors of log loss)"
    )


def note_tuning_data(options: TrainOptions, watcher: Watcher) -> None:
    """Say how much disk space fine-tuning has left in use, if it is much."""
    kept = size_of(cache_folder(options.cache) / "boundary") if options.tune != "none" else 0
    if kept > MUCH_SPACE:
        watcher.note(
            f"{kept / 1e6:,.0f} MB of outputs of frozen layers are kept in the cache, which make "
            "fine-tuning these images again faster. To delete them: headstart cache clear --tuning"
        )
