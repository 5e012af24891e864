"""Step 6: unfreeze the last layers and continue training with a low learning rate.

The entry points are `fine_tuning`, to predict classes, and `metric`, for galleries.

- `job`, `held_out`: the request: the frozen model, the images, and the images each round holds out.
- `unfreezing`: the only place where the backbone changes, and where it is restored.
- `planning`: for `--tune auto`, the part of the network that fits into the time limit.
- `workbench`: everything that all rounds share.
- `trainings`: where each training keeps its checkpoints, and which one is resumed.
- `rounds`, `round_heads`: train on most images and evaluate on the rest; the heads of a round.
- `candidates`, `verdict`: which head is used with the tuned network, and whether both are kept.
- `tutorial`: the tutorial's recipe.

Four packages lie below:

- `training`: one training, step by step.
- `boundary`: the frozen part, which runs once: cutting, views, and the store of rows.
- `pacing`: timing of training steps, and plans based on it.
- `events`: reporting during training.
"""
