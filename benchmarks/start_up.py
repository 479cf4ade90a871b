"""Import of the package over bare Python (target: no torch, at most 100 ms).

python benchmarks/start_up.py [--repeat 9]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def seconds(code: str) -> float:
    """Wall time of a fresh interpreter that runs this."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def main() -> None:
    """Print the medians in ms."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=9)
    asked = parser.parse_args()
    bare, ours = [], []
    for _ in range(asked.repeat):
        bare.append(seconds("pass"))
        ours.append(seconds("import napari_gliocam"))
    extra = statistics.median(b - a for a, b in zip(bare, ours, strict=True))
    print(f"bare Python {1000 * statistics.median(bare):.0f} ms")
    print(f"import napari_gliocam: {1000 * extra:.0f} ms more (target at most 100)")
    heavy = "import sys, napari_gliocam; print({'torch', 'napari', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", heavy], check=True, capture_output=True, text=True)
    print(f"heavy modules loaded: {done.stdout.strip()} (target: none)")


if __name__ == "__main__":
    main()
