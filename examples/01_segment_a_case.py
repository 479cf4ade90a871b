"""Read a case, segment it, save the result: three lines.

    python examples/01_segment_a_case.py [CASE]

CASE is a folder with the files of one case, or one of its files.  Without it a synthetic case
is made.  The result goes to ``example-output/``.
"""

import sys

import napari_gliocam as gliocam

sample = len(sys.argv) < 2

case = gliocam.make_phantom("enhancing") if sample else gliocam.read_case(sys.argv[1])
segmentation = gliocam.segment(case)
files = gliocam.save_segmentation(
    segmentation, f"example-output/{case.name}_seg.nii.gz", case=case, overwrite=True
)

for warning in case.warnings:
    print(warning)
for name, volume in segmentation.volumes_ml.items():
    print(f"{name:7} {volume:6.1f} ml")
print("written:", *files)
