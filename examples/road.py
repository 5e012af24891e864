"""From a folder with boxes, such as road scenes in YOLO's format, to a detector in minutes.

python examples/road.py SCENES
"""

import sys

import headstart as hs

result = hs.train(sys.argv[1], operating_point="recall=0.9")  # Better a false alarm than a miss.
print(result.summary.headline + result.summary.context)
for name, *figures in result.summary.rows:
    print(name, *figures)
print(f"Report: {result.run / 'report.html'}")
