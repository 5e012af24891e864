"""Measure whether a model's prediction sets, abstention and unknown keep their promises."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from headstart.arrays import Flags, Probabilities, Targets
from headstart.evaluation.abstention import abstain_for
from headstart.evaluation.calibration_set import CalibrationSet
from headstart.evaluation.conformal import SetRule
from headstart.evaluation.intervals import wilson
from headstart.evaluation.known_images import FALSE_ALARMS
from headstart.options import SetMethod
from headstart.record.limits import AbstentionResult, LimitsResult, SetResult

_SETS: tuple[tuple[SetMethod, float], ...] = (("lac", 0.9), ("lac", 0.95), ("aps", 0.9))
_MAX_ERRORS = (0.05, 0.02, 0.01)


def measure_limits(
    calibration: CalibrationSet | None,
    unknown: Flags | None,
    probabilities: Probabilities,
    targets: Targets,
    *,
    abstains: bool = True,
) -> LimitsResult:
    """Measure on images that neither the model nor its limits have seen.

    Args:
        calibration: The model's held-out predictions; None without any.
        unknown: Which images it calls unknown, (images,); None if it cannot tell.
        probabilities: Calibrated probabilities of the images, (images, classes).
        targets: Their encoded labels.
        abstains: Whether the model may abstain: it predicts the most probable class.
    """
    images = len(probabilities)
    alarms = None if unknown is None else int(unknown.sum())
    return LimitsResult(
        images,
        None if alarms is None else alarms / images,
        None if alarms is None else wilson(alarms, images),
        FALSE_ALARMS,
        tuple(_sets(calibration, probabilities, targets)) if calibration else (),
        tuple(_abstention(calibration, probabilities, targets)) if calibration and abstains else (),
    )


def _sets(
    calibration: CalibrationSet, probabilities: Probabilities, targets: Targets
) -> Iterator[SetResult]:
    rows = np.arange(len(targets))
    for method, coverage in _SETS:
        members = SetRule.of(calibration, coverage, method).sets(probabilities)
        covered = int(members[rows, targets].sum())
        yield SetResult(
            method,
            coverage,
            covered / len(targets),
            wilson(covered, len(targets)),
            float(members.sum(axis=1).mean()),
        )


def _abstention(
    calibration: CalibrationSet, probabilities: Probabilities, targets: Targets
) -> Iterator[AbstentionResult]:
    confidence = probabilities.max(axis=1).astype(np.float32)
    predicted = probabilities.argmax(axis=1)
    for max_error in _MAX_ERRORS:
        found = abstain_for(calibration, max_error)
        if found is None or found.answered == 1:
            continue
        answered = confidence >= found.confidence
        wrong, count = int((predicted != targets)[answered].sum()), int(answered.sum())
        yield AbstentionResult(
            max_error,
            found.confidence,
            count / len(targets),
            wrong / count if count else None,
            wilson(wrong, count) if count else None,
        )
