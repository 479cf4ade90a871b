"""Tests of a comparison's maps, on the engine's thread."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
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
    from napari_gliocam.trust.fills import Fill
    from napari_gliocam.trust.run import Assessing, Tested
    from napari_gliocam.trust.sequences import SequenceShares
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
    figures : dict of str to float
        Figures by the name of their test, such as "deletion", see `napari_gliocam.trust.run`.
    sequences : str
        Shares of the sequences in the image-level logit, in words.
    reasons : tuple of str
        Sentences: why something is missing, what a reader must know of the sequences.
    lesions : tuple of (int, dict of Modality to float)
        Share of each sequence in the map of a lesion, by its number.
    shares : SequenceShares or None
        Contributions of the sequences on each slice that was tested.
    """

    method: str
    target: Target
    lines: dict[Direction, Line]
    figures: dict[str, float] = field(default_factory=dict)
    sequences: str = ""
    reasons: tuple[str, ...] = ()
    lesions: tuple[tuple[int, dict[Modality, float]], ...] = ()
    shares: SequenceShares | None = None

    @property
    def verdict(self) -> str:
        """What is written on the picture of the map."""
        return "fails randomisation" if self.fails else ""

    @property
    def fails(self) -> bool:
        """Whether networks with random weights draw much the same map."""
        return self.figures.get("randomisation") == 0.0

    def portions(self, in_view: int | None) -> dict[str, dict[Modality, float]]:
        """Return the share of each sequence in the class's logit and in the map, by a title.

        Parameters
        ----------
        in_view : int or None
            The slice in view; the mean over the slices, where it is none that was tested.
        """
        shares = self.shares
        if shares is None:
            return {}
        one = len(shares.logits) == 1
        seen = in_view in shares.logits
        where = [in_view] if in_view is not None and seen else None
        slices = "" if one else f" slice {in_view}" if seen else f" of {len(shares.logits)} slices"
        found = {f"class{slices}": shares.of_logit(where), f"map{slices}": shares.of_map(where)}
        return {title: made.shares for title, made in found.items() if made is not None}


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
    fill : {"mean", "blur", "mirror"}
        Content that takes the place of deleted pixels.
    """

    def __init__(
        self,
        comparing: Comparing,
        maps: Sequence[ClassMaps],
        scope: str | int,
        fill: Fill = "mean",
    ) -> None:
        self.scope = scope
        self.fill: Fill = fill
        self._comparing = comparing
        self._maps = {one.name: one for one in maps}
        self._assessing: Assessing | None = None

    def run(self) -> Generator[Progress, None, None]:
        """Put every map to the tests; can be closed at any yield."""
        from napari_gliocam.trust.faithfulness import FaithfulnessSettings
        from napari_gliocam.trust.run import Assessing, Test, TrustRequest

        prepared = yield from self._comparing.ready.getting()
        others = yield from self._other(prepared)
        tests: list[Test] = ["faithfulness", "randomisation", "sequence"]
        tests += ["repeatability"] if others else []
        tests += ["localisation"] if prepared.case.expert is not None else []
        recipes = self._comparing.recipes
        self._assessing = Assessing(
            prepared,
            {name: (one, recipes.get(name)) for name, one in self._maps.items()},
            TrustRequest(tuple(tests), self.scope, settings=FaithfulnessSettings(fill=self.fill)),
            others=others,
            networks=None if isinstance(self.scope, int) else self._comparing.result,
            device=self._comparing.ready.key[2],
        )
        yield from self._assessing.run()

    def _other(self, prepared: Prepared) -> Generator[Progress, None, list[Prepared]]:
        """Prepare the case for another bundle that ships; none where it cannot take the case."""
        from napari_gliocam.cams.run.prepare import preparing
        from napari_gliocam.nets.bundle_info import bundled_path, shipped_paths

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
        from napari_gliocam.trust.faithfulness import Faithfulness

        tested = [] if self._assessing is None else self._assessing.tested.values()
        found = (one.result(Faithfulness) for one in tested)
        return sorted({index for one in found if one is not None for index in one.slices})

    @property
    def rows(self) -> list[TrustRow]:
        """What is found by now."""
        if self._assessing is None:
            return []
        return [self._row(one) for one in self._assessing.tested.values()]

    def _row(self, one: Tested) -> TrustRow:
        assert self._assessing is not None
        lines: dict[Direction, Line] = {}
        from napari_gliocam.trust.faithfulness import Faithfulness
        from napari_gliocam.trust.sequences import SequenceShares

        faithful, shares = one.result(Faithfulness), one.result(SequenceShares)
        for way in _DIRECTIONS:
            curve = None if faithful is None else faithful.curve(way)
            if faithful is not None and curve is not None:
                lines[way] = curve.fractions, curve.scores
        logit = None if shares is None else shares.of_logit()
        reasons = [r.reason() for r in one.results.values()]
        if shares is not None and logit is not None:
            reasons.append(shares.caution)
        return TrustRow(
            one.method,
            one.target,
            lines,
            {n: v for r in one.results.values() for n, v in r.figures().items()},
            "" if logit is None else logit.words,
            tuple(_sentence(r) for r in dict.fromkeys(filter(None, reasons))),
            tuple(
                (number, found.shares)
                for number, found in self._assessing.lesions.get((one.method, one.target), ())
            ),
            shares,
        )

    def picture(
        self, method: str, target: Target, direction: Direction, fraction: float, index: int
    ) -> NDArray[np.uint8]:
        """Return a slice as the networks see it at a point of a curve, grey, (H, W)."""
        from napari_gliocam.trust.faithfulness import altered_slice
        from napari_gliocam.trust.scoring import mapped_slices

        assert self._assessing is not None
        prepared = self._assessing.prepared
        (one,) = mapped_slices(prepared, self._maps[method], target, [index])
        image = altered_slice(one, fraction, direction, self.fill).cpu().numpy()
        modalities, best = prepared.bundle.info.modalities, prepared.case.best_modality(target)
        plane = image[modalities.index(best) if best in modalities else 0]
        grey = np.where(one.inside, (plane + 2.0) / 6.0, 0.0).clip(0.0, 1.0)
        return (255 * grey).astype(np.uint8)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:].rstrip(".") + "."
