"""``explain --tests``: explanations of a case put to the test, and the table of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, cast

from napari_gliocam.errors import GliocamError
from napari_gliocam.wording import no_such

if TYPE_CHECKING:
    from napari_gliocam.cams.run.explain import Explaining
    from napari_gliocam.cams.run.prepare import Prepared
    from napari_gliocam.cli.explain import ExplainRequest
    from napari_gliocam.maps.class_maps import ClassMaps
    from napari_gliocam.progress import Progress
    from napari_gliocam.trust.run import Finding

#: Names of tests, as `napari_gliocam.trust.run.TESTS`, which would load torch.
NAMES = ("faithfulness", "randomisation", "repeatability", "localisation", "sequence", "doubt")
#: Contents that take the place of deleted pixels, as `napari_gliocam.trust.fills.Fill`.
Baseline = Literal["mean", "blur", "mirror"]


def names_of(words: str, bundles: int) -> tuple[str, ...]:
    """Return the tests that are asked for.

    Parameters
    ----------
    words : str
        Names with commas between them, or "all".
    bundles : int
        How many there are; repeatability needs two.

    Raises
    ------
    GliocamError
        If there is no such test, or a bundle is missing.
    """
    names = tuple(dict.fromkeys(filter(None, (word.strip() for word in words.split(",")))))
    if "all" in names:
        names = tuple(n for n in NAMES if n != "repeatability" or bundles > 1)
    for name in names:
        if name not in NAMES:
            raise GliocamError(no_such(name, ("all", *NAMES), "test"))
    if "repeatability" in names and bundles < 2:
        raise GliocamError(
            "Repeatability compares two bundles; name a second one (--bundle), or leave the test "
            "out."
        )
    return names


def run_tests(
    request: ExplainRequest,
    works: Mapping[str, Explaining],
    maps: Mapping[str, ClassMaps],
    bar: Callable[[str, str], AbstractContextManager[Callable[[Progress], None]]],
) -> tuple[list[Finding], bool]:
    """Put the methods of the first bundle, and ensembles, to the tests.

    Parameters
    ----------
    request : ExplainRequest
        Which tests, on which slices and device.
    works : mapping of str to Explaining
        The work of each method, by the name of its maps.
    maps : mapping of str to ClassMaps
        The maps of methods and ensembles.
    bar : callable
        Opens a bar of progress with a title and a unit.

    Returns
    -------
    list of Finding
        What is done, where the user stopped it.
    bool
        Whether the user stopped it.
    """
    from napari_gliocam.trust.faithfulness import FaithfulnessSettings
    from napari_gliocam.trust.randomisation import MapRecipe
    from napari_gliocam.trust.run import Assessing, Test, TrustRequest

    prepared, *others = _distinct(work.prepared for work in works.values())
    methods: dict[str, tuple[ClassMaps, MapRecipe | None]] = {}
    for name, made in maps.items():
        work = works.get(name)
        if work is None:
            methods[name] = made, None
        elif work.prepared.bundle is prepared.bundle:
            methods[name] = made, MapRecipe.of(work) if work.remade else None
    assessing = Assessing(
        prepared,
        methods,
        TrustRequest(
            cast("tuple[Test, ...]", request.test_names),
            scope=cast("Any", request.compare.scope),
            most=request.test_slices or None,
            settings=FaithfulnessSettings(fill=request.baseline),
        ),
        others=others,
        device=request.device,
    )
    try:
        with bar("tests", "") as report:
            for progress in assessing.run():
                report(progress)
    except KeyboardInterrupt:
        return assessing.findings, True
    return assessing.findings, False


def _distinct(every: Iterable[Prepared]) -> list[Prepared]:
    """Return the case as each bundle sees it, once."""
    found: list[Prepared] = []
    for one in every:
        if all(one.bundle is not other.bundle for other in found):
            found.append(one)
    return found


def lines(tests: list[dict[str, Any]]) -> list[str]:
    """Return the main figures for a person; the stages of a randomisation stand in the csv.

    Parameters
    ----------
    tests : list of dict
        Of `napari_gliocam.trust.run.Finding.to_json`.
    """
    found = []
    for row in tests:
        if row["test"].startswith("randomisation-"):
            continue
        value = f"- ({row['reason']})" if row["value"] is None else f"{row['value']:.3f}"
        if row["test"] == "randomisation" and row["value"] is not None:
            value = "passed" if row["value"] else "failed: an untrained network draws it, too"
        found.append(
            f"{row['test']:<24} {row['class']:<8} {row['method']:<28} {row['scope']:<9} " + value
        )
    return found
