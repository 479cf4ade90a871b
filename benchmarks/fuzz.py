"""Fuzz what comes from files: headers, streams, names, tables, bundles and sidecars.

python benchmarks/fuzz.py [--inputs 2000] [--kind KIND ...] [--seed 0] [--only KIND:INDEX]

Every input is made from the seed, its kind and its index alone, so that `--only` makes it again.
An error that a user can mend (`GliocamError`) is handled; any other error is not, nor is an input
that takes longer than ten seconds.  The status is 1 if anything was not handled.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from napari_gliocam.case import Case, Grid, Modality
from napari_gliocam.errors import GliocamError
from napari_gliocam.io import find_cases, read_case, read_labels, save_segmentation
from napari_gliocam.io.naming import parse_names
from napari_gliocam.io.sidecar import describe, read_choices, read_sidecar

LIMIT_S = 10
SHAPE = (40, 44, 12)
AFFINE = np.diag([-3.5, -3.5, 5.0, 1.0])
Rng = np.random.Generator


def brain(rng: Rng) -> Any:
    """A small brain on a background of 0, shape (40, 44, 12)."""
    volume = np.zeros(SHAPE, np.int16)
    volume[6:-6, 6:-6, 1:-1] = rng.integers(50, 900, (28, 32, 10))
    return volume


# ---- what is made of a seed


def header(rng: Rng, folder: Path) -> None:
    """A NIfTI file with a header that is damaged by bytes or by fields."""
    two, big, packed = rng.random(3) < (0.3, 0.2, 0.5)
    kind = nib.Nifti2Image if two else nib.Nifti1Image
    image = kind(brain(rng), AFFINE)
    image.set_qform(AFFINE, code=int(rng.integers(0, 3)))
    if rng.random() < 0.3:
        image.header.extensions.append(nib.nifti1.Nifti1Extension(4, b"<x/>" * 9))
    raw = bytearray(image.to_bytes())
    size = 540 if two else 348
    if big:
        swapped = image.header.as_byteswapped(">").binaryblock
        raw[:size] = swapped
    fields = type(image.header)(bytes(raw[:size]), check=False).structarr.dtype
    extreme = (0, -1, 1, 3, 1e30, -1e30, np.nan, np.inf, -np.inf, 255, 32767, 2**31, 1e-30)
    for _ in range(int(rng.integers(1, 5))):
        if rng.random() < 0.5:
            raw[int(rng.integers(0, size))] = int(rng.integers(0, 256))
            continue
        name = str(rng.choice(fields.names))
        dtype, offset = fields.fields[name][:2]
        base, count = (
            (dtype.subdtype[0], dtype.itemsize // dtype.subdtype[0].itemsize)
            if (dtype.subdtype)
            else (dtype, 1)
        )
        if base.kind == "S":
            continue
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = np.array(extreme[int(rng.integers(0, len(extreme)))]).astype(base)
        at = offset + base.itemsize * int(rng.integers(0, count))
        raw[at : at + base.itemsize] = value.astype(base.newbyteorder("><"[not big])).tobytes()
    content = gzip.compress(bytes(raw), 1) if packed else bytes(raw)
    (folder / "P1_flair.nii.gz").write_bytes(content)


def stream(rng: Rng, folder: Path) -> None:
    """A gzip stream that is cut, damaged, doubled, padded, nested, or none at all."""
    raw = nib.Nifti1Image(brain(rng), AFFINE).to_bytes()
    packed = bytearray(gzip.compress(raw, 1))
    match int(rng.integers(0, 9)):
        case 0:
            del packed[int(rng.integers(0, len(packed))) :]
        case 1:
            for _ in range(int(rng.integers(1, 4))):
                packed[int(rng.integers(0, len(packed)))] = int(rng.integers(0, 256))
        case 2:
            at = int(rng.integers(0, len(raw)))
            packed = bytearray(gzip.compress(raw[:at]) + gzip.compress(raw[at:]))
        case 3:
            packed += bytes(int(rng.integers(0, 999))) + rng.bytes(int(rng.integers(0, 99)))
        case 4:
            packed = bytearray(gzip.compress(bytes(packed)))
        case 5:
            packed = bytearray(gzip.compress(raw + bytes(int(rng.integers(0, 3 * 10**7))), 1))
        case 6:
            packed = bytearray(rng.bytes(int(rng.integers(0, 2000))))
        case 7:
            packed[3] = int(rng.integers(0, 256))  # flags of the gzip header
        case 8:
            packed = bytearray(raw[: int(rng.integers(0, len(raw)))])
    (folder / f"P1_flair{rng.choice(['.nii.gz', '.nii'])}").write_bytes(bytes(packed))


WORDS = [
    "t1",
    "T1",
    "t1ce",
    "t2",
    "flair",
    "FLAIR",
    "seg",
    "mask",
    "P1",
    "P2",
    "sub-01",
    "ses-T1",
    "ce-gd",
    "0000",
    "0001",
    "684",
    "brain",
    "to",
    "reg",
    "post",
    "contrast",
    "dark",
    "fluid",
    "core",
    "map",
    "gliocam",
    "VSD",
    "OT",
    "20200101",
    "é",
    "中",
    "%s",
    "{}",
    "$HOME",
    "~",
    "<b>",
    "=1+1",
    "..",
    "-",
    "_",
]


def names(rng: Rng, folder: Path) -> None:
    """Files of odd names, all of them readable images or links to nowhere."""
    image = nib.Nifti1Image(brain(rng), AFFINE).to_bytes()
    for _ in range(int(rng.integers(1, 7))):
        mark = str(rng.choice(["_", "-", ".", " ", "", "__"]))
        name = mark.join(rng.choice(WORDS, int(rng.integers(1, 6)))).replace("/", "")
        if rng.random() < 0.1:
            name += os.fsdecode(rng.bytes(4).replace(b"/", b"").replace(b"\0", b""))
        if rng.random() < 0.05:
            name += "x" * int(rng.integers(100, 200))
        end = str(rng.choice([".nii", ".nii.gz", ".NII", ".nii.nii", ".mha", ""]))
        place = folder / str(rng.choice(["", "imagesTr", "labelsTr", "a", "t1", "FLAIR"]))
        place.mkdir(exist_ok=True)
        path = place / (name + end)
        try:
            if rng.random() < 0.05:
                path.symlink_to("nowhere")
            else:
                path.write_bytes(image)
        except (OSError, ValueError):
            continue
    if rng.random() < 0.2:
        (folder / "dataset.json").write_text(damaged_json(rng, {"modality": {"0": "FLAIR"}}))


def table(rng: Rng, folder: Path) -> None:
    """A table of slice labels as no spreadsheet should write it."""
    lines = ["case,slice,core,edema"]
    cells = ["P1", "0", "1", "", "x", "-1", "1e99", "nan", '"', "'", "=1", "\t", "1,0", "é", "٣"]
    for number in range(int(rng.integers(0, 12))):
        row = ["P1", str(number), str(rng.integers(0, 2)), str(rng.integers(0, 2))]
        if rng.random() < 0.05:
            row[int(rng.integers(0, 4))] = str(rng.choice(cells))
        if rng.random() < 0.03:
            row = row[: int(rng.integers(0, 4))] + [str(rng.choice(cells))] * int(rng.integers(3))
        lines.append(",".join(row))
    if rng.random() < 0.1:
        lines[0] = ",".join(rng.permutation(lines[0].split(",")))
    if rng.random() < 0.05:
        lines.append("P1," + "9" * 200_000 + ",1,1")
    separator = str(rng.choice([",", ";", "\t", "|"]))
    text = str(rng.choice(["\n", "\r\n", "\r"])).join(lines).replace(",", separator)
    code = str(rng.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "utf-32"]))
    raw = bytearray(text.encode(code, "replace"))
    for _ in range(int(rng.integers(0, 3)) if rng.random() < 0.4 else 0):
        raw[int(rng.integers(0, len(raw)))] = int(rng.integers(0, 256))
    (folder / "labels.csv").write_bytes(bytes(raw))


def damaged_json(rng: Rng, content: Any) -> str:
    """Json text whose values are of the wrong type, or that is no json."""
    odd = [
        None,
        True,
        -1,
        0,
        1e308,
        "x",
        "",
        [],
        {},
        [[1]],
        {"a": 1},
        3,
        0.5,
        float("nan"),
        10**400,
    ]

    share = 0.5 / max(1, json.dumps(content).count(",")) if rng.random() < 0.5 else 0.1

    def spoil(value: Any, depth: int = 0) -> Any:
        if rng.random() < share and depth:
            return odd[int(rng.integers(0, len(odd)))]
        if isinstance(value, dict):
            kept = {k: spoil(v, depth + 1) for k, v in value.items() if rng.random() > share / 4}
            return kept | ({"extra": 1} if rng.random() < 0.02 else {})
        if isinstance(value, list):
            return [spoil(item, depth + 1) for item in value]
        return value

    text = json.dumps(spoil(content))
    match int(rng.integers(0, 25)):
        case 0:
            return text[: int(rng.integers(0, len(text)))]
        case 1:
            return "[" * 100_000
        case 2:
            return text.replace('"', "'")
    return text


def bundle(rng: Rng, folder: Path) -> None:
    """A bundle with a damaged description, damaged weights, or both."""
    info = json.loads((STORE.bundle / "bundle.json").read_text())
    weights = bytearray((STORE.bundle / "bundle.safetensors").read_bytes())
    spoilt = int(rng.integers(0, 3))
    if spoilt != 1:
        (folder / "bundle.json").write_text(damaged_json(rng, info))
    else:
        (folder / "bundle.json").write_text(json.dumps(info))
    if spoilt != 0:
        length = int.from_bytes(weights[:8], "little")
        for _ in range(int(rng.integers(1, 6))):
            reach = len(weights) if rng.random() < 0.3 else length + 8
            weights[int(rng.integers(0, reach))] = int(rng.integers(0, 256))
        if rng.random() < 0.2:
            del weights[int(rng.integers(0, len(weights))) :]
    (folder / "bundle.safetensors").write_bytes(bytes(weights))


def sidecar(rng: Rng, folder: Path) -> None:
    """A result with a damaged json beside it."""
    for path in STORE.result.iterdir():
        shutil.copy(path, folder)
    described = folder / "P1.json"
    described.write_text(damaged_json(rng, json.loads(described.read_text())))


# ---- what is done with it


def read_all(folder: Path) -> None:
    """Find, read, and save labels for every case."""
    for files in find_cases(folder):
        if files.problem:
            raise GliocamError(files.problem)
        case = read_case(files)
        labels = np.zeros(case.grid.shape, np.uint8)
        maps = replace(STORE.segmentation.maps, grid=case.grid)
        segmentation = replace(STORE.segmentation, labels=labels, maps=maps)
        out = folder / "out"
        path, _ = save_segmentation(segmentation, out / "r_seg.nii.gz", case=case, overwrite=True)
        assert read_labels(path, case.grid).own


def read_names(folder: Path) -> None:
    """Read the cases of odd names; one that is refused does not hide the others."""
    parse_names(path.name for path in folder.iterdir())
    cases = find_cases(folder)
    for files in cases:
        if files.problem is None:
            print(files.name, file=STORE.null)
            read_case(files)
    if all(files.problem for files in cases):
        raise GliocamError(str(cases[0].problem))


def read_table(folder: Path) -> None:
    """Read a table of slice labels."""
    from napari_gliocam.train.labels.tag_file import load_tags

    load_tags(folder / "labels.csv", {"P1": 9})


def run_bundle(folder: Path) -> None:
    """Load a bundle and segment a small case with it."""
    from napari_gliocam.nets.bundle import load_bundle
    from napari_gliocam.segmentation import segment

    maps = segment(STORE.case, bundle=load_bundle(folder), device="cpu").maps
    if not (np.isfinite(maps.tumour).all() and 0 <= maps.tumour.min() <= maps.tumour.max() <= 1):
        raise AssertionError("maps that are no maps, without a word")


def read_result(folder: Path) -> None:
    """Read a result and what lies beside it."""
    labels = folder / "P1_seg.nii.gz"
    read_sidecar(labels)
    read_labels(labels)
    read_choices(folder / "P1.json")


@dataclass(frozen=True)
class Kind:
    """A kind of input: how it is made, what is done with it, and its share of the inputs."""

    make: Callable[[Rng, Path], None]
    use: Callable[[Path], None]
    share: float


KINDS = {
    "headers": Kind(header, read_all, 0.35),
    "streams": Kind(stream, read_all, 0.15),
    "names": Kind(names, read_names, 0.2),
    "tables": Kind(table, read_table, 0.15),
    "bundles": Kind(bundle, run_bundle, 0.1),
    "sidecars": Kind(sidecar, read_result, 0.05),
}


@dataclass
class Store:
    """What all inputs are made from."""

    folder: Path = Path()
    bundle: Path = Path()
    result: Path = Path()
    case: Any = None
    segmentation: Any = None
    null: Any = None

    def fill(self, folder: Path) -> None:
        """Make a tiny bundle, a small case and a result of it."""
        import torch

        from napari_gliocam.nets.bundle import load_bundle, save_bundle
        from napari_gliocam.nets.bundle_info import BundleInfo
        from napari_gliocam.nets.gliocam import GliocamNet
        from napari_gliocam.segmentation import segment

        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.null = (folder / "null").open("w", encoding="utf-8")
        self.bundle, self.result = folder / "bundle", folder / "result"
        save_bundle(
            GliocamNet(width=8), BundleInfo("tiny", "random", "CC0-1.0", width=8), self.bundle
        )
        grid = Grid(AFFINE, SHAPE)
        rng = np.random.default_rng(0)
        wanted = (Modality.T1CE, Modality.T2, Modality.FLAIR)
        self.case = Case("P1", {m: grid.from_file(brain(rng)) for m in wanted}, grid)
        self.segmentation = segment(self.case, bundle=load_bundle(self.bundle), device="cpu")
        save_segmentation(self.segmentation, self.result / "P1_seg.nii.gz", case=self.case)
        describe(self.segmentation, self.case)


STORE = Store()


@dataclass
class Tally:
    """What became of the inputs of a kind."""

    accepted: int = 0
    refused: int = 0
    unhandled: list[str] = field(default_factory=list)
    slowest: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)


class TooSlow(BaseException):
    """An input took longer than the limit."""


def too_slow(*_: object) -> None:
    """Raise `TooSlow`, called by the alarm."""
    raise TooSlow


def try_one(name: str, index: int, seed: int, tally: Tally, *, show: bool) -> None:
    """Make one input and use it."""
    kind = KINDS[name]
    rng = np.random.default_rng([seed, list(KINDS).index(name), index])
    folder = Path(tempfile.mkdtemp(dir=STORE.folder))
    kind.make(rng, folder)
    started = time.perf_counter()
    try:
        if hasattr(signal, "alarm"):
            signal.alarm(LIMIT_S)
        kind.use(folder)
        tally.accepted += 1
    except GliocamError as error:
        tally.refused += 1
        if show:
            print(error)
    except (Exception, TooSlow) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        tally.unhandled.append(f"{name}:{index} {type(error).__name__} at {where}: {error}"[:240])
        if show:
            traceback.print_exc()
    finally:
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        tally.slowest = max(tally.slowest, time.perf_counter() - started)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Print what became of the inputs, kind by kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--only", help="KIND:INDEX, with its error in full")
    asked = parser.parse_args()
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, too_slow)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        STORE.folder = Path(folder)
        STORE.fill(STORE.folder)
        if asked.only:
            name, _, index = asked.only.partition(":")
            try_one(name, int(index), asked.seed, Tally(), show=True)
            return
        tallies = {name: Tally() for name in asked.kind}
        for name, tally in tallies.items():
            for index in range(round(asked.inputs * KINDS[name].share)):
                try_one(name, index, asked.seed, tally, show=False)
    print(
        f"{'kind':10} {'inputs':>7} {'accepted':>9} {'refused':>8} {'unhandled':>10} {'slowest':>9}"
    )
    for name, tally in tallies.items():
        count = tally.accepted + tally.refused + len(tally.unhandled)
        row = f"{count:7d} {tally.accepted:9d} {tally.refused:8d} {len(tally.unhandled):10d}"
        print(f"{name:10} {row} {tally.slowest:7.2f} s")
    unhandled = [text for tally in tallies.values() for text in tally.unhandled]
    print(
        f"{sum(t.accepted + t.refused for t in tallies.values())} handled, "
        f"{len(unhandled)} unhandled (target 0)"
    )
    print("\n".join(unhandled))
    sys.exit(bool(unhandled))


if __name__ == "__main__":
    main()
