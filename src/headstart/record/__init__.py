"""The measurements of a run, as typed values.

Terminal tables, the report and the model card read these classes, never the file.
"""

from headstart.record.run import (
    FILE,
    SCHEMA,
    RecommendationRecord,
    Record,
    recommendation_json,
)
from headstart.record.values import (
    BackboneTrial,
    Candidate,
    ClassResult,
    Counts,
    Data,
    Epoch,
    Evaluation,
    Interval,
    Leak,
    PrecisionTrial,
    Recommendation,
    Rejection,
    ReliabilityBin,
    SingleEvaluation,
    Source,
    StepTiming,
    Tuning,
)

__all__ = [
    "FILE",
    "SCHEMA",
    "BackboneTrial",
    "Candidate",
    "ClassResult",
    "Counts",
    "Data",
    "Epoch",
    "Evaluation",
    "Interval",
    "Leak",
    "PrecisionTrial",
    "Recommendation",
    "RecommendationRecord",
    "Record",
    "Rejection",
    "ReliabilityBin",
    "SingleEvaluation",
    "Source",
    "StepTiming",
    "Tuning",
    "recommendation_json",
]
