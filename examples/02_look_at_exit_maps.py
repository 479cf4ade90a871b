"""Look at every map behind a segmentation, and cut it again without running a network.

    python examples/02_look_at_exit_maps.py [CASE]

Prints how much of the brain each map claims, then the volumes at several thresholds.
Without CASE a synthetic case is made.
"""

import sys

import napari_gliocam as gliocam
from napari_gliocam.maps.class_maps import ROWS
from napari_gliocam.progress import finish
from napari_gliocam.targets import TARGETS

case = gliocam.read_case(sys.argv[1]) if len(sys.argv) > 1 else gliocam.make_phantom("enhancing")

# The long part, once.  It is a generator of progress: iterate over it to show a bar.
maps = finish(gliocam.compute_maps(case))

print(f"{'share of the brain above 0.5':30}", *(f"{target:>8}" for target in TARGETS))
for row in ROWS:
    shares = [
        f"{(maps.volume(row, target)[case.brain] > 0.5).mean():8.2%}"
        if maps.has(row, target)
        else f"{'–':>8}"
        for target in TARGETS
    ]
    print(f"{row:30}", *shares)

best = int(maps.probabilities[:, 0].argmax())
print(f"\nslice {best} shows tumour with a probability of {maps.probabilities[best, 0]:.3f}\n")

for threshold in (0.2, 0.4, 0.6):
    settings = gliocam.Thresholds(tumour_threshold=threshold)
    volumes = gliocam.apply_thresholds(maps, settings).volumes_ml
    print(f"tumour threshold {threshold:.1f}:", {k: round(v, 1) for k, v in volumes.items()}, "ml")
