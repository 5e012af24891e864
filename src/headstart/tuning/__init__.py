"""Step 6: unfreeze the last layers and go on with a low learning rate.

The rooms, in the order in which a training passes them:

- `job`, `task`: what is asked for: the frozen model, the images, what is held out.
- `fine_tuning`: the way from there to the model that is kept. Start reading here.
- `plan`, `setting`, `session`: what fits into the minutes and how steps are taken, by timing;
  written down for a run that is resumed.
- `bench`: the backbone cut open (`halves`, `sources`), views of the images and the store of rows
  (`views`, `augment`), and the numbers of the training (`recipe`).
- `rounds`: train on most images, judge by the rest. `network` is what is trained, `loop` trains it,
  `depthwise` makes a step quicker, `checkpoint` and `interruption` keep it safe, `events`,
  `listeners` and `trackers` tell of it.
- `rivals`, `verdict`, `report`: which head reads the result, whether it is kept, what is told.
"""
