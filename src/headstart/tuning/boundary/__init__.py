"""The frozen part below the boundary, which runs once for each view of each image.

- `cutting`: the network in two halves.
- `views`: which views of an image training sees.
- `store`: the rows that the lower half computes for them, on disk.
- `rows`: where training reads rows from: the store, or the images if there is no store.
"""
