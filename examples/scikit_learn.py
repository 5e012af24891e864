"""Features in a scikit-learn pipeline: a grid search runs the network only once per photo.

python examples/scikit_learn.py PHOTOS
"""

import sys

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import headstart as hs

data = hs.open_images(sys.argv[1])
pipeline = make_pipeline(
    hs.Featurizer("efficientnet-lite0"), StandardScaler(), LogisticRegression(max_iter=1000)
)
grid = {"featurizer__features": ["last", "multilevel"], "logisticregression__C": [0.001, 0.01, 0.1]}
search = GridSearchCV(pipeline, grid).fit(data.train.paths, data.train.labels)
print(search.best_params_, f"{search.score(data.test.paths, data.test.labels):.1%} correct")
