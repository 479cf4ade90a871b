"""Segment every case of a folder with one bundle, and write a table of the volumes.

    python examples/03_many_cases.py [FOLDER]

A case that cannot be read is named and left out.  Without FOLDER three synthetic cases are
made.  Labels and ``volumes.csv`` go to ``example-output/``.  The command line does the same:
``napari-gliocam segment FOLDER --out example-output``.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import napari_gliocam as gliocam
from napari_gliocam.io import find_cases

OUT = Path("example-output")


def cases() -> Iterator[gliocam.Case]:
    """One case at a time, so that only one is in memory."""
    if len(sys.argv) < 2:
        for kind in ("enhancing", "low-grade", "healthy"):
            yield gliocam.make_phantom(kind)
        return
    for files in find_cases(sys.argv[1]):
        try:
            yield gliocam.read_case(files)
        except gliocam.GliocamError as error:
            print(f"{files.name}: {error}", file=sys.stderr)


bundle = gliocam.load_bundle()  # once for all
rows = []
for case in cases():
    segmentation = gliocam.segment(case, bundle=bundle)
    path = OUT / case.name / f"{case.name}_seg.nii.gz"
    gliocam.save_segmentation(segmentation, path, case=case, overwrite=True)
    volumes = {name: round(ml, 2) for name, ml in segmentation.volumes_ml.items()}
    rows.append({"case": case.name, **volumes})
    print(case.name, volumes)

if rows:
    with (OUT / "volumes.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)
