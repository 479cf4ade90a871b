"""Several tests of several methods on one case, as work that can be stopped, and its table."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args

import numpy as np

from napari_gliocam.cams.run.prepare import asking
from napari_gliocam.errors import GliocamError
from napari_gliocam.io.tables import csv_text
from napari_gliocam.progress import Progress
from napari_gliocam.segmentation import bundle_thresholds, compute_maps
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.threshold import apply_thresholds
from napari_gliocam.trust.doubt import Doubt, doubting
from napari_gliocam.trust.faithfulness import (
    Faithfulness,
    FaithfulnessSettings,
    measuring_faithfulness,
)
from napari_gliocam.trust.localisation import localise
from napari_gliocam.trust.randomisation import MapRecipe, Randomisation, randomising
from napari_gliocam.trust.repeatability import Repeatability, repeating
from napari_gliocam.trust.scoring import MOST_SLICES, choose_slices
from napari_gliocam.trust.sequences import (
    SequenceShares,
    Shares,
    attributing,
    sequence_shares,
    shares_by_lesion,
)

if TYPE_CHECKING:
    from napari_gliocam.cams.run.prepare import Prepared
    from napari_gliocam.maps.class_maps import ClassMaps

Test = Literal[
    "faithfulness", "randomisation", "repeatability", "localisation", "sequence", "doubt"
]
TESTS: tuple[Test, ...] = get_args(Test)

#: Lines of the table that name the slices with the most doubt.
_DOUBTFUL_SLICES = 5


_R = TypeVar("_R")


class _Result(Protocol):
    """What every test gives for a method and a target."""

    def figures(self) -> Mapping[str, float]: ...

    def reason(self) -> str: ...


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Parameters
    ----------
    method : str
        The method, as a reader sees it; "Networks" for the doubt about the result.
    target : Target
        The class.
    scope : str
        "lesion", "case", "slice 80" or "lesion 1".
    test : str
        Such as "deletion", "road-most", "sequence-flair".
    value : float or None
        None where it is not defined.
    reason : str
        The reason for that.
    slices : int or None
        How many slices the value is of; None where it is not of single slices.
    """

    method: str
    target: Target
    scope: str
    test: str
    value: float | None
    reason: str = ""
    slices: int | None = None

    @property
    def is_stage(self) -> bool:
        """Whether this is a stage of a randomisation, behind its verdict."""
        return self.test.startswith("randomisation-")

    def to_json(self) -> dict[str, Any]:
        """Return plain values under the names of the table's columns."""
        return {
            "method": self.method,
            "class": self.target,
            "scope": self.scope,
            "test": self.test,
            "value": self.value,
            "reason": self.reason,
            "slices": self.slices,
        }


@dataclass(frozen=True)
class TrustRequest:
    """Tests, and how they are made.

    Parameters
    ----------
    tests : tuple of Test
        Which.
    scope : "lesion", "case" or int
        Slices that count, see `napari_gliocam.trust.scoring.choose_slices`.
    most : int or None
        Look at no more slices than this, at even distances; None for all.
    settings : FaithfulnessSettings
        Steps and baseline of the faithfulness.
    seed : int
        Of the random networks.
    flips : bool
        Whether the doubt looks at the case mirrored, too.
    """

    tests: tuple[Test, ...] = TESTS
    scope: str | int = "lesion"
    most: int | None = MOST_SLICES
    settings: FaithfulnessSettings = field(default_factory=FaithfulnessSettings)
    seed: int = 0
    flips: bool = True

    def __post_init__(self) -> None:
        for test in self.tests:
            if test not in TESTS:
                raise GliocamError(
                    f'There is no test "{test}"; choose one or more of {", ".join(TESTS)}.'
                )
        if self.most is not None and self.most < 1:
            raise GliocamError(f"{self.most} slices are too few; choose 1 or more.")

    @property
    def scope_words(self) -> str:
        """The scope as the table names it."""
        return f"slice {self.scope}" if isinstance(self.scope, int) else self.scope


@dataclass(frozen=True)
class Untested:
    """In the place of a result: why there is none.

    Parameters
    ----------
    why : str
        The reason.
    """

    why: str

    def figures(self) -> dict[str, float]:
        """Return nothing."""
        return {}

    def reason(self) -> str:
        """Return the reason."""
        return self.why


@dataclass(eq=False)
class Tested:
    """Everything that was found about one method's map of one target.

    Parameters
    ----------
    method : str
        The method, as a reader sees it.
    target : Target
        The target of the map.
    results : dict of Test to result
        As far as the tests have come.
    asked : dict of Test to int
        Slices that each test was asked for.
    """

    method: str
    target: Target
    results: dict[Test, Any] = field(default_factory=dict)
    asked: dict[Test, int] = field(default_factory=dict)

    def result(self, kind: type[_R]) -> _R | None:
        """Return the result of a kind, such as `Faithfulness`; None where there is none."""
        return next((one for one in self.results.values() if isinstance(one, kind)), None)


class Assessing:
    """Tests of several methods on a case, as work that can be stopped and keeps what it has.

    Parameters
    ----------
    prepared : Prepared
        The case on the device, with the networks.
    methods : mapping of str to (ClassMaps, MapRecipe or None)
        By the name that a reader sees; a map without a recipe, such as an ensemble's, cannot be
        made again, so only faithfulness and localisation are tested.
    request : TrustRequest
        Tests, and how they are made.
    others : sequence of Prepared
        The same case with other bundles, for repeatability (the first) and doubt (all).
    networks : ClassMaps, optional
        The networks' own maps of the case, where they are known.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the networks run for the doubt.

    Attributes
    ----------
    tested : dict of (method, target) to Tested
        What is found by now; kept when the work is stopped.
    lesions : dict of (method, target) to list of (int, Shares)
        Contributions of the sequences to each lesion, by its number.
    doubt : Doubt or None
        About the networks' own maps.
    """

    def __init__(
        self,
        prepared: Prepared,
        methods: Mapping[str, tuple[ClassMaps, MapRecipe | None]],
        request: TrustRequest,
        *,
        others: Sequence[Prepared] = (),
        networks: ClassMaps | None = None,
        device: str = "auto",
    ) -> None:
        self.prepared = prepared
        self.methods = methods
        self.request = request
        self.others = others
        self.networks = networks
        self.device = device
        self.tested: dict[tuple[str, Target], Tested] = {}
        self.lesions: dict[tuple[str, Target], list[tuple[int, Shares]]] = {}
        self.doubt: Doubt | None = None
        self._more: list[Finding] = []
        if "repeatability" in request.tests and not others:
            raise GliocamError(
                "Repeatability compares two bundles, and there is one; name another (--bundle), "
                "or leave the test out."
            )

    def run(self) -> Generator[Progress, None, list[Finding]]:
        """Do the work; can be closed at any yield, `findings` then holds what is done.

        Yields
        ------
        Progress
            Of each test in turn.
        """
        tests = self.request.tests
        whole = not isinstance(self.request.scope, int)
        if self.request.scope == "lesion":
            self.prepared = yield from asking(self.prepared)
        if self.networks is None and ("doubt" in tests or (whole and "sequence" in tests)):
            self.networks = yield from compute_maps(
                self.prepared.case, bundle=self.prepared.bundle, device=self.device
            )
        for name, (maps, recipe) in self.methods.items():
            for target in maps.targets:
                one = self.tested[name, target] = Tested(name, target)
                for test in tests:
                    if test == "doubt":
                        continue
                    try:
                        yield from self._testing(test, one, maps, recipe)
                    except BaseException:  # stopped: what is finished stays
                        if test in one.results and not one.results[test].figures():
                            del one.results[test]  # its reason would be wrong
                        if not one.results:
                            del self.tested[name, target]
                        raise
        if "doubt" in tests:
            yield from self._doubting()
        return self.findings

    def _testing(
        self, test: Test, one: Tested, maps: ClassMaps, recipe: MapRecipe | None
    ) -> Generator[Progress, None, None]:
        """Put one map to one test."""
        prepared, request, target = self.prepared, self.request, one.target
        if test == "localisation":
            slices = None
            if isinstance(request.scope, int):
                slices = np.arange(prepared.case.grid.shape[0]) == request.scope
            one.results[test] = localise(maps, prepared.case, target, slices)
            yield Progress(1, 1, f"localisation, {target}")
            return
        slices_ = choose_slices(prepared, maps, target, scope=request.scope, most=request.most)
        one.asked[test] = len(slices_)
        if recipe is None and test != "faithfulness":
            one.results[test] = Untested("the map cannot be made again")
        elif not slices_:
            one.results[test] = Untested(f"the networks see no {target} on these slices")
        elif test == "faithfulness" or recipe is None:
            one.results[test] = faithful = Faithfulness(target)
            yield from measuring_faithfulness(
                prepared, maps, target, slices_, request.settings, into=faithful
            )
        elif test == "randomisation":
            one.results[test] = randomisation = Randomisation(target)
            yield from randomising(
                prepared, recipe, target, slices_, seed=request.seed, into=randomisation
            )
        elif test == "repeatability" and target not in self.others[0].bundle.info.targets:
            one.results[test] = Untested("the other bundle knows the tumour alone")
        elif test == "repeatability":
            one.results[test] = repeatability = Repeatability(target)
            yield from repeating(
                prepared, self.others[0], recipe, target, slices_, into=repeatability
            )
        else:
            one.results[test] = shares = sequence_shares(prepared, target)
            yield from attributing(prepared, recipe, target, slices_, into=shares)
            self._share_by_lesion(one.method, shares)

    def _share_by_lesion(self, method: str, shares: SequenceShares) -> None:
        """Share out the map of each lesion of the networks' labels."""
        if self.networks is None:  # one slice: its share is that of the slice
            return
        thresholds = bundle_thresholds(self.prepared.bundle.info)
        labels = apply_thresholds(self.networks, thresholds).labels
        frame, grid = self.prepared.stack.frame, self.prepared.case.grid
        found = shares_by_lesion(shares, labels, frame, grid.voxel_ml)
        self.lesions[method, shares.target] = found
        self._more += [
            Finding(method, shares.target, f"lesion {number}", f"sequence-map-{m.value}", share)
            for number, one in found
            for m, share in one.shares.items()
        ]

    def _doubting(self) -> Generator[Progress, None, None]:
        """Find the doubt about the networks' own maps."""
        assert self.networks is not None
        case, bundle = self.prepared.case, self.prepared.bundle
        self.doubt = yield from doubting(
            case,
            self.networks,
            bundle=bundle,
            flips=self.request.flips,
            others=[other.bundle for other in self.others],
            device=self.device,
        )
        yield Progress(1, 1, "doubt")
        self._more += doubt_findings(self.doubt, bundle_thresholds(bundle.info))

    @property
    def findings(self) -> list[Finding]:
        """The table as far as it goes."""
        rows = []
        for one in self.tested.values():
            scope = self.request.scope_words
            for test, result in one.results.items():
                rows += _findings_of(test, one, result, scope)
        return rows + self._more


def assessing_map(
    prepared: Prepared,
    maps: ClassMaps,
    recipe: MapRecipe | None,
    request: TrustRequest,
    *,
    others: Sequence[Prepared] = (),
) -> Generator[Progress, None, dict[Target, dict[str, float | None]]]:
    """Put the maps of one method to tests, and return their main figures.

    Parameters
    ----------
    prepared : Prepared
        The case on the device, with the networks.
    maps : ClassMaps
        Of the method.
    recipe : MapRecipe or None
        The way they are made; None where they cannot be made again, see `Assessing`.
    request : TrustRequest
        Tests, and how they are made.
    others : sequence of Prepared
        The same case with other bundles, for repeatability.

    Returns
    -------
    dict of Target to dict of str to (float or None)
        By the name of the test, such as "deletion"; None where it is not defined.
    """
    work = Assessing(prepared, {maps.name: (maps, recipe)}, request, others=others)
    found: dict[Target, dict[str, float | None]] = {target: {} for target in maps.targets}
    for finding in (yield from work.run()):
        if finding.scope == request.scope_words and not finding.is_stage:
            found[finding.target][finding.test] = finding.value
    return found


def _findings_of(test: Test, one: Tested, result: _Result, scope: str) -> list[Finding]:
    figures = result.figures()
    if not figures:
        return [Finding(one.method, one.target, scope, test, None, result.reason())]
    done = getattr(result, "slices", None)  # of a test that goes slice by slice
    slices = one.asked.get(test) if done is None else len(done)
    return [
        Finding(one.method, one.target, scope, name, value, slices=slices)
        for name, value in figures.items()
    ]


def doubt_findings(doubt: Doubt, thresholds: Any = None) -> list[Finding]:
    """Return the lines of the table about the doubt: by class, slices and lesions.

    Parameters
    ----------
    doubt : Doubt
        Of a case.
    thresholds : Thresholds, optional
        Thresholds that the volumes are cut with.
    """
    found = []
    means = doubt.figures()
    for target, range_ in doubt.ranges(thresholds).items():
        mean = means.get(target)
        why = "" if mean is not None else f"no map shows any {target}"
        found += [
            Finding("Networks", target, "case", "doubt", mean, why),
            Finding("Networks", target, "case", "volume-ml", range_.volume),
            Finding("Networks", target, "case", "volume-low-ml", range_.low),
            Finding("Networks", target, "case", "volume-high-ml", range_.high),
        ]
    areas = doubt.by_slice()
    for index in doubt.slices_in_order()[:_DOUBTFUL_SLICES]:
        area = float(areas[index])
        found.append(Finding("Networks", TARGETS[0], f"slice {index}", "doubt-area-cm2", area))
    labels = apply_thresholds(doubt.maps, thresholds).labels
    for one in doubt.by_lesion(labels):
        scope = f"lesion {one.number}"
        found.append(Finding("Networks", TARGETS[0], scope, "doubt", one.doubt))
    return found


def to_csv(findings: Sequence[Finding]) -> str:
    """Return the table as csv: method, class, scope, test, value, slices.

    The value is empty where it is not defined, the slices where it is not of single ones.
    """
    return csv_text(
        ("method", "class", "scope", "test", "value", "slices"),
        (
            (
                *(f.method, f.target, f.scope, f.test),
                "" if f.value is None else f"{f.value:.4f}",
                "" if f.slices is None else str(f.slices),
            )
            for f in findings
        ),
    )
