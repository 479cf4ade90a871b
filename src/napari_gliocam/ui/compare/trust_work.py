"""Tests of a comparison's maps on one slice, on the engine's thread."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Modality
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.progress import Progress
from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from napari_gliocam.trust.run import Assessing
    from napari_gliocam.ui.compare.work import Comparing

Direction = Literal["deletion", "insertion"]
Line = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class TrustRow:
    """What was found about one map on the slice.

    Parameters
    ----------
    method, target : str
        Names of the method and of the target.
    lines : dict of "deletion" and "insertion" to (fractions, probabilities)
        The curves; empty where the map ranks no pixel.
    areas : dict of "deletion" and "insertion" to float
        Area under each.
    passed : bool or None
        Whether networks with random weights draw another map; None where that is not known.
    sequences : str
        Shares of the sequences in the image-level logit, in words.
    reason : str
        The reason why something is missing, or what a reader must know of the sequences.
    """

    method: str
    target: Target
    lines: dict[Direction, Line]
    areas: dict[Direction, float]
    passed: bool | None = None
    sequences: str = ""
    reason: str = ""


class SliceTests:
    """Tests of the maps of one comparison on one slice; keeps what it has when it is stopped.

    Parameters
    ----------
    comparing : Comparing
        The comparison, for its case, networks and methods.
    maps : sequence of ClassMaps
        The maps that are shown.
    index : int
        Slice of the case.
    """

    def __init__(self, comparing: Comparing, maps: Sequence[ClassMaps], index: int) -> None:
        self.index = index
        self._comparing = comparing
        self._maps = {one.name: one for one in maps}
        self._assessing: Assessing | None = None

    def run(self) -> Generator[Progress, None, None]:
        """Put every map to the tests; can be closed at any yield."""
        from napari_gliocam.trust.run import Assessing, TrustRequest

        prepared = yield from self._comparing.ready.getting()
        recipes = self._comparing.recipes
        self._assessing = Assessing(
            prepared,
            {name: (one, recipes.get(name)) for name, one in self._maps.items()},
            TrustRequest(("faithfulness", "randomisation", "sequence"), self.index),
        )
        yield from self._assessing.run()

    @property
    def rows(self) -> list[TrustRow]:
        """What is found by now."""
        if self._assessing is None:
            return []
        rows = []
        for one in self._assessing.tested.values():
            faithful = one.results.get("faithfulness")
            found = None if faithful is None else faithful.slices.get(self.index)
            lines: dict[Direction, Line] = {}
            areas: dict[Direction, float] = {}
            if found is not None:
                for way, curve in (("deletion", found.deletion), ("insertion", found.insertion)):
                    lines[way] = curve.fractions, curve.scores  # type: ignore[index]
                    areas[way] = curve.area  # type: ignore[index]
            shares: Any = one.results.get("sequence")
            logit = shares.of_logit() if hasattr(shares, "of_logit") else None
            reasons = [r.reason() for r in one.results.values()]
            if logit is not None:
                reasons.append(shares.caution)
            rows.append(
                TrustRow(
                    one.method,
                    one.target,
                    lines,
                    areas,
                    getattr(one.results.get("randomisation"), "passed", None),
                    "" if logit is None else logit.words,
                    " ".join(_sentence(r) for r in dict.fromkeys(filter(None, reasons))),
                )
            )
        return rows

    def picture(
        self, method: str, target: Target, direction: Direction, fraction: float
    ) -> NDArray[np.uint8]:
        """Return the slice as the networks see it at a point of a curve, grey, (H, W).

        T1ce for core, FLAIR for the others, where the case has them.
        """
        from napari_gliocam.trust.faithfulness import altered_slice
        from napari_gliocam.trust.scoring import mapped_slices

        assert self._assessing is not None
        prepared = self._assessing.prepared
        (one,) = mapped_slices(prepared, self._maps[method], target, [self.index])
        image = altered_slice(one, fraction, direction).cpu().numpy()
        wanted = Modality.T1CE if target == "core" else Modality.FLAIR
        modalities = prepared.bundle.info.modalities
        there = wanted in modalities and wanted not in prepared.stack.missing
        plane = image[modalities.index(wanted) if there else 0]
        grey = np.where(one.inside, (plane + 2.0) / 6.0, 0.0).clip(0.0, 1.0)
        return (255 * grey).astype(np.uint8)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:].rstrip(".") + "."
