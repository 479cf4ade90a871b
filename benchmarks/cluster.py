"""Segment cases with workers on this machine against one process: throughput, overhead, memory.

    python benchmarks/cluster.py CASES [--workers 2] [--repeat 3]

CASES is a folder of cases; some more cases than workers make the throughput mean something.  All
ways run in turn, so the ratios hold where other work runs beside.  Prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass
class Ran:
    """One run over all cases: wall and processor time in s, overhead of a case, peak in MiB."""

    wall: float
    processor: float
    overhead: float
    peak: float
    labels: dict[str, bytes]


def main() -> None:
    """Run the ways in turn and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    many = f"{asked.workers} workers"
    ways: dict[str, tuple[list[str], dict[str, str]]] = {
        "one process": ([], {}),
        "one process, one thread": ([], {"OMP_NUM_THREADS": "1"}),
        "one worker": (["--workers", "1"], {}),
        many: (["--workers", str(asked.workers)], {}),
    }
    runs: dict[str, list[Ran]] = {way: [] for way in ways}
    for _ in range(asked.repeat):
        for way, (options, environment) in ways.items():
            runs[way].append(run(asked.cases, options, environment))
    print(f"{'':<26} {'wall, s':>9} {'CPU, s':>9} {'peak, MiB':>10}")
    for way, found in runs.items():
        wall, processor, peak = (
            statistics.median(getattr(one, name) for one in found)
            for name in ("wall", "processor", "peak")
        )
        print(f"{way:<26} {wall:9.1f} {processor:9.1f} {peak:10.0f}")
    for way in list(ways)[:2]:
        pairs = zip(runs[way], runs[many], strict=True)
        ratio = statistics.median(one.wall / several.wall for one, several in pairs)
        print(f"throughput of {many} over {way}: {ratio:.2f}")
    overhead = statistics.median(one.overhead for one in runs["one worker"])
    print(f"overhead of the cluster on a case, one worker: {overhead:.1%}")
    first, *others = (one.labels for found in runs.values() for one in found)
    print(f"labels equal to the byte: {all(other == first for other in others)}")


def run(cases: Path, options: list[str], environment: dict[str, str]) -> Ran:
    """Segment the cases once; of cases that follow each other, what lies between is overhead."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, __file__, "--child", str(cases), folder, *options]
        started = time.perf_counter()
        child = subprocess.Popen(
            line, env=os.environ | environment, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        came, seconds, usage = [], [], {}
        for text in child.stdout:
            came.append(time.perf_counter())
            said = json.loads(text)
            if "peak" in said:
                usage = said
            else:
                seconds.append(said["seconds"])
        if child.wait() or not usage:
            raise SystemExit("a run failed")
        gaps = [later - earlier for earlier, later in pairwise(came[:-1])]
        over = [gap - own for gap, own in zip(gaps, seconds[1:], strict=True)]
        files = sorted(Path(folder).rglob("*.nii.gz"))
        return Ran(
            wall=time.perf_counter() - started,
            processor=usage["processor"],
            overhead=sum(over) / sum(seconds[1:]) if over else float("nan"),
            peak=usage["peak"],
            labels={file.name: file.read_bytes() for file in files},
        )


def child(cases: str, out: str, options: list[str]) -> None:
    """Segment as the command does, then say what this process and its workers took."""
    from napari_gliocam.cli.main import app

    app(["segment", cases, "--out", out, "--json", *options], standalone_mode=False)
    both = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    worker = both[1] if "--workers" in options else both[0]
    print(
        json.dumps(
            {
                "processor": sum(one.ru_utime + one.ru_stime for one in both),
                "peak": worker.ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:4], sys.argv[4:])
    else:
        main()
