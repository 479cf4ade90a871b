"""Tests of a comparison's maps, on the engine's thread."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.progress import Progress
from napari_gliocam.targets import Target
from napari_gliocam.ui.jobs import work

if TYPE_CHECKING:
    from napari_gliocam.cams.run.prepare import Prepared
    from napari_gliocam.trust.run import Assessing, Tested
    from napari_gliocam.ui.compare.work import Comparing

Direction = Literal["deletion", "insertion"]
_DIRECTIONS: tuple[Direction, ...] = ("deletion", "insertion")
Line = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class TrustRow:
    """What was found about one map.

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
    reasons : tuple of str
        Sentences: why something is missing, what a reader must know of the sequences.
    repeatability : float or None
        Rank correlation with the map by another bundle; None where that is not known.
    most : str
        The sequence that contributes most to the logit, and its share, such as "FLAIR 71 %".
    lesions : tuple of (int, dict of str to float)
        Share of each sequence in the map of a lesion, by its number.
    """

    method: str
    target: Target
    lines: dict[Direction, Line]
    areas: dict[Direction, float]
    passed: bool | None = None
    sequences: str = ""
    reasons: tuple[str, ...] = ()
    repeatability: float | None = None
    most: str = ""
    lesions: tuple[tuple[int, dict[str, float]], ...] = ()

    @property
    def verdict(self) -> str:
        """What is written on the picture of the map, a line each."""
        said = ["fails randomisation"] if self.passed is False else []
        said += [f"most from {self.most}"] if self.most else []
        return "\n".join(said)


class MapTests:
    """Tests of the maps of one comparison; keeps what it has when it is stopped.

    Parameters
    ----------
    comparing : Comparing
        The comparison, for its case, networks and methods.
    maps : sequence of ClassMaps
        The maps that are shown.
    scope : "lesion", "case" or int
        Slices that count: those on which the networks see the class, all, or one; of many no more
        than `napari_gliocam.trust.scoring.MOST_SLICES`, at even distances.
    """

    def __init__(self, comparing: Comparing, maps: Sequence[ClassMaps], scope: str | int) -> None:
        self.scope = scope
        self._comparing = comparing
        self._maps = {one.name: one for one in maps}
        self._assessing: Assessing | None = None

    def run(self) -> Generator[Progress, None, None]:
        """Put every map to the tests; can be closed at any yield."""
        from napari_gliocam.trust.run import Assessing, Test, TrustRequest

        prepared = yield from self._comparing.ready.getting()
        others = yield from self._other(prepared)
        tests: tuple[Test, ...] = ("faithfulness", "randomisation", "sequence")
        recipes = self._comparing.recipes
        self._assessing = Assessing(
            prepared,
            {name: (one, recipes.get(name)) for name, one in self._maps.items()},
            TrustRequest((*tests, "repeatability") if others else tests, self.scope),
            others=others,
            networks=None if isinstance(self.scope, int) else self._comparing.result,
            device=self._comparing.ready.key[2],
        )
        yield from self._assessing.run()

    def _other(self, prepared: Prepared) -> Generator[Progress, None, list[Prepared]]:
        """Prepare the case for another bundle that ships; none where it cannot take the case."""
        from napari_gliocam.cams.run.prepare import preparing
        from napari_gliocam.nets.bundle import bundled_path, shipped_paths

        case, path, device = self._comparing.ready.key
        others = [one for one in shipped_paths() if one != (path or bundled_path())]
        if not others or prepared.bundle.info.exits != work.loaded(others[0]).info.exits:
            return []
        try:
            return [(yield from preparing(case, work.loaded(others[0]), device))]
        except CaseError:  # it needs a modality that is missing
            return []

    @property
    def slices(self) -> list[int]:
        """The slices whose curves are finished."""
        tested = [] if self._assessing is None else self._assessing.tested.values()
        return sorted({i for one in tested if one.faithfulness for i in one.faithfulness.slices})

    @property
    def rows(self) -> list[TrustRow]:
        """What is found by now."""
        if self._assessing is None:
            return []
        return [self._row(one) for one in self._assessing.tested.values()]

    def _row(self, one: Tested) -> TrustRow:
        assert self._assessing is not None
        lines: dict[Direction, Line] = {}
        areas: dict[Direction, float] = {}
        faithful, shares = one.faithfulness, one.sequences
        for way in _DIRECTIONS:
            curve = None if faithful is None else faithful.curve(way)
            if faithful is not None and curve is not None:
                lines[way] = curve.fractions, curve.scores
                areas[way] = faithful.figures()[way]
        logit = None if shares is None else shares.of_logit()
        reasons = [r.reason() for r in one.results.values()]
        if shares is not None and logit is not None:
            reasons.append(shares.caution)
        repeated = one.results.get("repeatability")
        return TrustRow(
            one.method,
            one.target,
            lines,
            areas,
            None if one.randomisation is None else one.randomisation.passed,
            "" if logit is None else logit.words,
            tuple(_sentence(r) for r in dict.fromkeys(filter(None, reasons))),
            None if repeated is None else repeated.figures().get("repeatability-rank"),
            "" if logit is None else logit.most,
            tuple(
                (number, {m.title: share for m, share in found.shares.items()})
                for number, found in self._assessing.lesions.get((one.method, one.target), ())
            ),
        )

    def picture(
        self, method: str, target: Target, direction: Direction, fraction: float, index: int
    ) -> NDArray[np.uint8]:
        """Return a slice as the networks see it at a point of a curve, grey, (H, W).

        T1ce for core, FLAIR for the others, where the case has them.
        """
        from napari_gliocam.trust.faithfulness import altered_slice
        from napari_gliocam.trust.scoring import mapped_slices

        assert self._assessing is not None
        prepared = self._assessing.prepared
        (one,) = mapped_slices(prepared, self._maps[method], target, [index])
        image = altered_slice(one, fraction, direction).cpu().numpy()
        wanted = Modality.T1CE if target == "core" else Modality.FLAIR
        modalities = prepared.bundle.info.modalities
        there = wanted in modalities and wanted not in prepared.stack.missing
        plane = image[modalities.index(wanted) if there else 0]
        grey = np.where(one.inside, (plane + 2.0) / 6.0, 0.0).clip(0.0, 1.0)
        return (255 * grey).astype(np.uint8)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:].rstrip(".") + "."
