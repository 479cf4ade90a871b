"""What a case of NIfTI files that needs no preparation pays for the checks that others need.

    python benchmarks/bare_case.py CASE [--repeat 3]

Processor time of the checks (imports of the preparation, whether a head shows its skull, whether
there is a cavity) as a share of that from files to labels, in the same run.  Target: at most 2 %.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def seconds(act: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor time of a call, so that other work does not count, and its result."""
    started = time.process_time()
    result = act()
    return time.process_time() - started, result


def import_preparation() -> None:
    """Import what `segment` needs to prepare a case, beyond what it imports anyway."""
    import napari_gliocam.prepare.opening  # noqa: F401


def main() -> None:
    """Print the seconds of each check and their share."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    from napari_gliocam.io import find_case, read_case
    from napari_gliocam.nets.bundle import load_bundle
    from napari_gliocam.segmentation import segment

    bundle = load_bundle()
    segment(read_case(find_case(asked.case)), bundle=bundle)  # warm up
    imports, _ = seconds(import_preparation)
    from napari_gliocam.prepare.opening import has_skull
    from napari_gliocam.trust.cavity import cavity_warning

    rows = []
    for _ in range(asked.repeat):
        files = find_case(asked.case)
        read, case = seconds(lambda files=files: read_case(files))
        skull, _ = seconds(lambda case=case: has_skull(case))
        segmented, _ = seconds(lambda case=case: segment(case, bundle=bundle))
        cavity, _ = seconds(lambda case=case: cavity_warning(case))
        rows.append((read + segmented, skull, cavity))
    whole, skull, cavity = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"files to labels              {whole:8.3f} s")
    for name, value in (("imports, once", imports), ("skull", skull), ("cavity", cavity)):
        print(f"{name:<28} {value:8.3f} s {value / whole:7.2%}")
    print(f"share of preparing (at most 2 %) {(imports + skull) / whole:.2%} of the first case")
    print(f"share of all three               {(imports + skull + cavity) / whole:.2%}")


if __name__ == "__main__":
    main()
