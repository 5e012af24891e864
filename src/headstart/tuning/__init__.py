"""Step 6: unfreeze the last layers and go on with a low learning rate.

The files here are the way from what is asked to the model that is kept. Start at `fine_tuning`.

- `job`, `held_out`: what is asked: the frozen model, the images, what each round holds out.
- `unfreezing`: the only place where the backbone changes, and where it is put back.
- `planning`: for `--tune auto`, what fits into the minutes.
- `workbench`: what all rounds share.
- `trainings`: where each training keeps its checkpoints, and which one is resumed.
- `rounds`, `readers`: train on most images, measure on the rest; the heads of a round.
- `rivals`, `verdict`: which head reads the result, and whether it is kept.
- `tutorial`: everything about the tutorial's recipe.

Four rooms lie below:

- `training`: one training, step by step.
- `boundary`: the frozen part, which runs once: cutting, views, the store of rows.
- `pacing`: how long things take, by timing.
- `events`: what is reported while it runs.
"""
