"""From a folder of DICOM files and a CSV file to sensitivity and specificity with intervals.

python examples/medical.py SCANS
"""

import sys

import headstart as hs

result = hs.train(
    sys.argv[1],
    operating_point="sensitivity=0.9",  # The rarer class is the positive one.
    prevalence=0.05,  # Where the model is to be used, 5% of patients are positive.
    fit="auto",
)
print(*result.summary.operating, f"Report: {result.run / 'report.html'}", sep="\n")
