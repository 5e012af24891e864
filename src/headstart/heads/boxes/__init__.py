"""The head of a detector: a feature pyramid and what predicts boxes from it.

`network` computes a row for each point of the pyramid from the maps of a frozen backbone; `points`
turns rows into boxes; `assignment` and `losses` are for training; `detections` chooses what is
predicted.
"""
