"""Models behind HTTP: prediction, a page, the Open Inference Protocol, and Label Studio.

Nothing is decided here about images or labels: a predictor answers, as it does everywhere else.
"""
