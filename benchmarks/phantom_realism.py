"""Real cases beside synthetic ones: a picture to look at, a table of figures to compare.

    python benchmarks/phantom_realism.py CASE ... --anatomy DIR --out DIR [--synthetic 80]

``--anatomy`` is a folder as `napari_gliocam.phantom.sources` reads it, or the ``anatomies-*.pt``
that ``scripts/train_bundle.py`` keeps; without it brains are procedural.  The table has a row a
figure: the range over the real cases, the 5th, 50th and 95th percentile over synthetic ones,
and a mark where real cases lie beyond those.  Intensities are those that a network gets.  The
expert labels only measure; the picture shows patients, so it stays out of the repository.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from napari_gliocam.case import Modality
from napari_gliocam.io import find_cases, read_case
from napari_gliocam.phantom.anatomy import Anatomy, procedural_anatomy
from napari_gliocam.phantom.sources import load_anatomies
from napari_gliocam.slices import cut_slices
from napari_gliocam.train.data.synthetic import PIXEL_MM, SHAPE, Drawing, synthetic_slices

CHANNELS = (Modality.T1CE, Modality.T2, Modality.FLAIR)
QUANTILES = (5, 25, 50, 75, 95)
REGIONS = ("brain", "healthy", "core", "edema")
#: A region smaller than this has no figures.
LEAST_PIXELS = 40


@dataclass(frozen=True, eq=False)
class Slices:
    """All slices of a case as a network gets them.

    Parameters
    ----------
    name : str
    images : ndarray of float32, (n, 3, H, W)
        T1ce, T2, FLAIR, normalised.
    truth : ndarray of uint8, (n, H, W)
        0 background, 1 core, 2 edema.
    step_mm : float
        Distance of the slices.
    """

    name: str
    images: NDArray[np.float32]
    truth: NDArray[np.uint8]
    step_mm: float

    @property
    def regions(self) -> dict[str, NDArray[np.bool_]]:
        """Masks, (n, H, W); healthy brain keeps away from the lesion."""
        brain = (self.images != 0).any(axis=1)
        return {
            "brain": brain,
            "healthy": brain & (self.truth == 0),
            "core": brain & (self.truth == 1),
            "edema": brain & (self.truth == 2),
        }


def real_slices(paths: list[Path], every: int) -> Iterator[Slices]:
    """Each ``every``-th slice of the cases that have expert labels."""
    for path in paths:
        for files in find_cases(path):
            case = read_case(files)
            if case.expert is None or not case.expert.labels.any():
                continue
            stack = cut_slices(case, CHANNELS, pixel_mm=PIXEL_MM)
            core, edema = (stack.frame.take(case.expert.labels == k) > 0.5 for k in (1, 2))
            truth = np.where(core, 1, np.where(edema, 2, 0)).astype(np.uint8)
            step = case.grid.spacing[0] * every
            yield Slices(case.name, stack.images[::every], truth[::every], step)


def load_sources(path: Path | None) -> dict[str, Anatomy]:
    """Anatomies of a folder or a cache of one; three procedural brains without either."""
    if path is None:
        return {f"procedural {seed}": procedural_anatomy(seed) for seed in range(3)}
    if path.is_dir():
        return load_anatomies(path)
    raw = torch.load(path, weights_only=True, mmap=True)
    return {name: Anatomy(*parts) for name, parts in raw.items()}


def draw_case(anatomy: Anatomy, name: str, seed: list[int], slices: int) -> Slices:
    """Slices spread evenly over a synthetic case, as training draws them."""
    images, _, truth = synthetic_slices(anatomy, seed, Drawing(spread=slices, near=0))
    low, high = anatomy.extent
    return Slices(name, images.astype(np.float32), truth, (high - low) / slices)


_sources: dict[str, Anatomy] = {}


def _start(path: Path | None) -> None:
    torch.set_num_threads(1)
    _sources.update(load_sources(path))


def _draw(number: int, seed: int, slices: int) -> tuple[dict[str, float], Slices]:
    # Half of the cases from label maps, half from real contrasts, as the training has them.
    rng = np.random.default_rng([seed, number])
    kinds: dict[bool, list[str]] = {}
    for name, anatomy in _sources.items():
        kinds.setdefault(anatomy.contrasts is not None, []).append(name)
    names = kinds[sorted(kinds)[int(rng.integers(len(kinds)))]]
    name = names[int(rng.integers(len(names)))]
    case = draw_case(_sources[name], f"{number} {name}", [seed, 7, number], slices)
    return figures(case), case


def figures(case: Slices) -> dict[str, float]:
    """Everything that is compared, by its name."""
    regions = case.regions
    out: dict[str, float] = {}
    for channel, modality in enumerate(CHANNELS):
        image, name = case.images[:, channel], modality.title
        median = {}
        for region in REGIONS:
            inside = regions[region]
            if inside.sum() < LEAST_PIXELS:
                continue
            values = image[inside]
            for q, value in zip(QUANTILES, np.percentile(values, QUANTILES), strict=True):
                out[f"{name} {region} q{q:02d}"] = float(value)
            median[region] = float(np.median(values))
            out[f"{name} {region} sd"] = float(values.std())
            out[f"{name} {region} grain"] = _grain(image, inside)
        for a, b in (("edema", "healthy"), ("core", "healthy"), ("core", "edema")):
            if a in median and b in median:
                out[f"{name} {a} - {b} (medians)"] = median[a] - median[b]
        for region in ("core", "edema"):
            if region in median:
                out[f"{name} {region} step at its edge"] = _edge_step(image, regions, region)
    healthy = regions["healthy"]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        pair = np.corrcoef(case.images[:, a][healthy], case.images[:, b][healthy])
        key = f"correlation {CHANNELS[a].title} / {CHANNELS[b].title} in healthy brain"
        out[key] = float(pair[0, 1])
    out |= _sizes(case, regions)
    return out


def _grain(image: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """Median difference of neighbours in a row, both in the region: noise and texture."""
    pair = inside[..., 1:] & inside[..., :-1]
    step = np.abs(np.diff(image, axis=-1))[pair]
    return float(np.median(step)) if step.size else float("nan")


def _edge_step(
    image: NDArray[np.float32], regions: dict[str, NDArray[np.bool_]], region: str
) -> float:
    """Mean just inside a region minus mean just outside in the brain, two pixels each."""
    inside = regions[region]
    grown, shrunk = _dilate(_dilate(inside)), ~_dilate(_dilate(~inside))
    rim, outside = inside & ~shrunk, grown & ~inside & regions["brain"]
    if not rim.any() or not outside.any():
        return float("nan")
    return float(image[rim].mean() - image[outside].mean())


def _dilate(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    out = mask.copy()
    out[:, 1:] |= mask[:, :-1]
    out[:, :-1] |= mask[:, 1:]
    out[..., 1:] |= mask[..., :-1]
    out[..., :-1] |= mask[..., 1:]
    return out


def _sizes(case: Slices, regions: dict[str, NDArray[np.bool_]]) -> dict[str, float]:
    """Areas, volumes, heights; nothing for a case without a lesion."""
    pixel_cm2 = PIXEL_MM**2 / 100
    out = {
        "brain ml": float(regions["brain"].sum()) * pixel_cm2 * case.step_mm / 10,
        "largest brain slice cm²": float(regions["brain"].sum(axis=(1, 2)).max()) * pixel_cm2,
    }
    volume = {}
    for region in ("core", "edema"):
        area = regions[region].sum(axis=(1, 2)) * pixel_cm2
        shown = area[area > 0]
        if not shown.size:
            continue
        volume[region] = float(area.sum()) * case.step_mm / 10
        out[f"{region} ml"] = volume[region]
        out[f"{region} area a slice, median cm²"] = float(np.median(shown))
        out[f"{region} area a slice, largest cm²"] = float(shown.max())
        out[f"{region} height mm"] = shown.size * case.step_mm
        out[f"{region} share of slices"] = shown.size / len(area)
    if len(volume) == 2:
        out["edema to core volume"] = volume["edema"] / volume["core"]
    if "core" in volume:
        t1ce = case.images[:, 0][regions["core"]]
        out["share of core with T1ce > 1.5"] = float((t1ce > 1.5).mean())
    return out


def table(real: list[dict[str, float]], synthetic: list[dict[str, float]]) -> Iterator[str]:
    """Lines of the comparison; ``<`` and ``>`` mark real cases below and above synthetic ones."""
    names = list(dict.fromkeys(k for one in [*real, *synthetic] for k in one))
    width = max(map(len, names))
    head = f"{'real: min':>10} {'max':>7} | {'synth. 5 %':>10} {'50 %':>7} {'95 %':>7} |"
    yield f"{'':<{width}} {head} real cases beyond"
    for name in names:
        ours = np.array([one[name] for one in synthetic if name in one])
        theirs = np.array([one[name] for one in real if name in one])
        ours, theirs = ours[np.isfinite(ours)], theirs[np.isfinite(theirs)]
        if not ours.size or not theirs.size:
            continue
        low, middle, high = np.percentile(ours, (5, 50, 95))
        marks = "<" * int((theirs < low).sum()) + ">" * int((theirs > high).sum())
        yield (
            f"{name:<{width}} {theirs.min():10.2f} {theirs.max():7.2f} | "
            f"{low:10.2f} {middle:7.2f} {high:7.2f} | {marks}"
        )


def picture(real: list[Slices], synthetic: list[Slices], rows: int, seed: int) -> Image.Image:
    """Rows of slices: two real ones at the left of a bar, three synthetic ones at its right.

    Each is T1ce, T2, FLAIR (z from -2.5 to 4) and the truth (core white, edema grey).
    """
    rng = np.random.default_rng(seed)
    gap = 6
    height, width = SHAPE
    block = width * 4 + gap
    sheet = Image.new("L", (5 * block + 4 * gap, rows * height), 90)
    draw = ImageDraw.Draw(sheet)
    for row in range(rows):
        for column in range(5):
            cases = real if column < 2 else synthetic
            # Most rows show a lesion, as most slices in training do.
            pool = [(c, i) for c in cases for i in _shown(c, lesion=row % 4 != 3)]
            case, index = pool[int(rng.integers(len(pool)))]
            left = column * block + (4 * gap if column >= 2 else 0)
            sheet.paste(Image.fromarray(_strip(case, index)), (left, row * height))
            draw.text((left + 3, row * height + 2), case.name[-18:], fill=200)
    return sheet


def _shown(case: Slices, *, lesion: bool) -> list[int]:
    has = (case.truth > 0).sum(axis=(1, 2)) > 30
    brain = case.regions["brain"].sum(axis=(1, 2)) > 1500
    return [int(i) for i in np.flatnonzero(brain & (has if lesion else ~has))]


def _strip(case: Slices, index: int) -> NDArray[np.uint8]:
    brain = case.regions["brain"][index]
    grey = np.clip((case.images[index] + 2.5) / 6.5 * 255, 0, 255) * brain
    truth = np.array([0, 255, 130])[case.truth[index]]
    return np.concatenate([_fit(p) for p in (*grey, truth)], axis=1).astype(np.uint8)


def _fit(plane: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
    """Crop or pad a slice to the size of a training slice, centred."""
    out = np.zeros(SHAPE)
    sizes = [min(a, b) for a, b in zip(plane.shape, SHAPE, strict=True)]
    to, of = (
        tuple(slice((n - s) // 2, (n - s) // 2 + s) for n, s in zip(shape, sizes, strict=True))
        for shape in (SHAPE, plane.shape)
    )
    out[to] = plane[of]
    return out


def main() -> None:
    """Draw the picture, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="+", type=Path)
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--synthetic", type=int, default=80)
    parser.add_argument("--slices", type=int, default=30, help="a synthetic case")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    real = list(real_slices(asked.cases, every=4))
    with ProcessPoolExecutor(asked.workers, initializer=_start, initargs=(asked.anatomy,)) as pool:
        count = asked.synthetic
        drawn = list(pool.map(_draw, range(count), [asked.seed] * count, [asked.slices] * count))
    sheet = picture(real, [case for _, case in drawn], asked.rows, asked.seed)
    sheet.save(asked.out / "realism.png")
    lines = list(table([figures(case) for case in real], [found for found, _ in drawn]))
    (asked.out / "realism.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
