"""Metrics of detections: average precision as COCO has it, thresholds, and kinds of errors."""
