"""How the verification of pairs is shown in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from headstart.cli.columns import print_line, print_table
from headstart.cli.rejections import show_rejections
from headstart.commands.verify import VerifyResult
from headstart.galleries.verification import FALSE_ACCEPTS, Rate, Verification
from headstart.record import Interval


def show_verification(console: Console, result: VerifyResult) -> None:
    """Show how often pairs are told apart."""
    found = result.verification
    show_rejections(console, result.rejected)
    print_table(console, ("measure", "value>", "95%"), _measures(found))
    print_line(
        console,
        f"Accuracy: {found.accuracy:.3f} \u00b1 {found.accuracy_se:.3f} (standard error) over "
        f"{len(found.accuracies)} folds{'' if found.folds_given else ', made by Headstart'}, each "
        "with the threshold that is right most often on the others; on average, pairs up to a "
        f"distance of {found.threshold:.3f} are the same.",
    )
    print_line(console, _counted(found))
    if limit := _untold(found):
        print_line(console, limit)
    if found.slices:
        rows = [
            [
                Text(one.column),
                Text(one.value),
                *map(_cells, (one.false_accepts, one.false_rejects)),
            ]
            for one in found.slices
        ]
        print_table(console, ("column", "value", "false accepts>", "false rejects>"), rows)


def _measures(found: Verification) -> list[list[Text]]:
    rows = [
        _row("accuracy", found.accuracy, found.accuracy_ci95),
        _row("AUROC", found.auroc, found.auroc_ci95),
        _row("equal error rate", found.eer, found.eer_ci95),
    ]
    for far, rate in found.tar_at_far:
        rows.append(_row(f"accepted at {far:.2%} false accepts", rate.value, rate.ci95))
    return rows


def _row(name: str, value: float, ci95: Interval) -> list[Text]:
    return [Text(name), Text(f"{value:.3f}", "bold"), Text(f"{ci95[0]:.3f} to {ci95[1]:.3f}")]


def _cells(rate: Rate | None) -> Text:
    if rate is None:
        return Text("\u2013")
    low, high = rate.ci95
    return Text(f"{rate.value:.1%} ({low:.1%} to {high:.1%}) of {rate.pairs:,}")


def _counted(found: Verification) -> str:
    features = "the last layer" if found.features == "last" else "all stages"
    counted = f"{found.pairs:,} pairs, {found.same:,} of the same item; features of {features}."
    if found.not_comparable:
        counted += (
            f" {found.not_comparable:,} have an image that cannot be compared: they count as wrong."
        )
    return counted


def _untold(found: Verification) -> str:
    """Return which shares of false accepts the pairs are too few to measure."""
    missing = FALSE_ACCEPTS[len(found.tar_at_far) :]
    if not missing:
        return ""
    different = found.pairs - found.same
    return (
        f"{different:,} pairs of different items are too few to say how many are accepted at "
        f"{' or '.join(f'{far:.2%}' for far in missing)} false accepts: that takes "
        f"{' or '.join(f'{round(1 / far):,}' for far in missing)}."
    )
