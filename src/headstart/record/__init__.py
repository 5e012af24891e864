"""The measurements of a run, as typed values.

Terminal tables, the report and the model card read these classes, never the file.
"""

from headstart.record.boxes import (
    BoxClassResult,
    BoxErrors,
    BoxesEvaluation,
    BoxSize,
    ErrorKind,
    RecallAtFalsePositives,
    SizeResult,
)
from headstart.record.detection import (
    DetectionCourse,
    DetectionEpoch,
    DetectionTuning,
    MissingBox,
)
from headstart.record.estimates import (
    Disagreement,
    Estimate,
    GroupSource,
    Interval,
    IntervalMethod,
    Leakage,
    MetricValue,
    Series,
    Use,
    describe_metric,
    describe_use,
)
from headstart.record.evaluation import (
    ClassResult,
    Evaluation,
    EvaluationRecord,
    ReliabilityBin,
    SingleEvaluation,
)
from headstart.record.gains import describe_gain
from headstart.record.multi import (
    CurvePoint,
    LabelBin,
    LabelResult,
    Means,
    MultiEvaluation,
)
from headstart.record.operating import OperatingResult
from headstart.record.run import (
    FILE,
    SCHEMA,
    RecommendationRecord,
    Record,
    recommendation_json,
)
from headstart.record.slices import SliceResult, SliceResults, metric_title
from headstart.record.values import (
    BackboneTrial,
    Candidate,
    Counts,
    Data,
    Epoch,
    Leak,
    PrecisionTrial,
    Recommendation,
    Rejection,
    Source,
    StepTiming,
    Tuning,
)

__all__ = [
    "FILE",
    "SCHEMA",
    "BackboneTrial",
    "BoxClassResult",
    "BoxErrors",
    "BoxSize",
    "BoxesEvaluation",
    "Candidate",
    "ClassResult",
    "Counts",
    "CurvePoint",
    "Data",
    "DetectionCourse",
    "DetectionEpoch",
    "DetectionTuning",
    "Disagreement",
    "Epoch",
    "ErrorKind",
    "Estimate",
    "Evaluation",
    "EvaluationRecord",
    "GroupSource",
    "Interval",
    "IntervalMethod",
    "LabelBin",
    "LabelResult",
    "Leak",
    "Leakage",
    "Means",
    "MetricValue",
    "MissingBox",
    "MultiEvaluation",
    "OperatingResult",
    "PrecisionTrial",
    "RecallAtFalsePositives",
    "Recommendation",
    "RecommendationRecord",
    "Record",
    "Rejection",
    "ReliabilityBin",
    "Series",
    "SingleEvaluation",
    "SizeResult",
    "SliceResult",
    "SliceResults",
    "Source",
    "StepTiming",
    "Tuning",
    "Use",
    "describe_gain",
    "describe_metric",
    "describe_use",
    "metric_title",
    "recommendation_json",
]
