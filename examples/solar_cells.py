"""Find defective solar cells: the first five steps one by one, on the demo's photos.

python examples/solar_cells.py
"""

from pathlib import Path

import headstart as hs
from headstart.commands.demo import write_solar_cells

data = hs.open_images(write_solar_cells(Path("runs")))
backbone = hs.load_backbone("efficientnet-lite0")  # 1, 2: choose and load, without its classifier
backbone.freeze()  # 3
model = hs.Classifier(backbone, head=hs.KernelHead(), classes=data.classes)  # 4
model.fit(data.train)  # 5
evaluation = model.evaluate(data.test)
low, high = evaluation.accuracy_ci95
print(f"{evaluation.accuracy:.1%} correct on {evaluation.images} cells ({low:.1%} to {high:.1%})")
