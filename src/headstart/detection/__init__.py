"""Train a detector: views of the images, their stored maps, and the training of its head.

`fitting` is the way through: `views` and `maps` fill the boundary store once, `training` trains a
`heads.boxes` head on it, and the result is a `predictor.detector.Detector`.
"""
