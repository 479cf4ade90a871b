"""Refine a segmentation, measure it, and write a page to print.

    python examples/04_refine_and_report.py [CASE]

CASE is as in the first example.  The report goes to ``example-output/``.
"""

import sys
from pathlib import Path

import napari_gliocam as gliocam
from napari_gliocam.measure import FIGURES
from napari_gliocam.progress import finish
from napari_gliocam.refine import Refinement, refine
from napari_gliocam.report import read_segmentation, save_reading

sample = len(sys.argv) < 2

case = gliocam.make_phantom("enhancing") if sample else gliocam.read_case(sys.argv[1])
segmentation = gliocam.segment(case)
refined = finish(refine(segmentation, case, Refinement()))

reading = read_segmentation(case, refined)
for figure in FIGURES:
    print(f"{figure.title:28} {figure.text(reading.measures.case):>10}")
print(*reading.measures.sentences)
print("written:", *save_reading(reading, Path("example-output"), overwrite=True))
