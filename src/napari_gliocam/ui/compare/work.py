"""A comparison on the engine's thread: methods one after the other, kept as they come."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_gliocam.cams.compare.request import CompareRequest
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.progress import Progress
from napari_gliocam.targets import Target
from napari_gliocam.ui.jobs.work import Ready

if TYPE_CHECKING:
    from napari_gliocam.cams.run.explain import Explaining
    from napari_gliocam.trust.randomisation import MapRecipe

#: A picture of a comparison: the name of a method, and one of its classes.
Key = tuple[str, Target]


@dataclass(frozen=True)
class Place:
    """The progress of a slow method.

    Parameters
    ----------
    slice, slices : int
        The slice under way, from 1, and how many there are.
    channel, channels : int
        Channels scored on that slice, and how many there are.
    """

    slice: int
    slices: int
    channel: int
    channels: int


class Comparing:
    """The work of one comparison; the maps of a method are there as soon as they are made.

    Parameters
    ----------
    ready : Ready
        The case and the networks.
    request : CompareRequest
        What was asked for.
    result : ClassMaps, optional
        The maps that Segment made of the same case; the networks need not be asked again.

    Attributes
    ----------
    maps : list of ClassMaps
        Only grows; holds the methods that are finished, and after Cancel the one under way.
    keys : list of (str, Target)
        The pictures that there will be, in order; empty until that is known.
    recipes : dict of str to MapRecipe
        The way each method's map is made, by its name.
    """

    def __init__(
        self, ready: Ready, request: CompareRequest, result: ClassMaps | None = None
    ) -> None:
        self.ready = ready
        self.request = request
        self.maps: list[ClassMaps] = []
        self.keys: list[Key] = []
        self.recipes: dict[str, MapRecipe] = {}
        self.result = result
        self._work: Explaining | None = None

    def place(self, progress: Progress) -> Place | None:
        """Return slice and channel of the method under way; None where it works in batches."""
        made = self._work
        if made is None or made.method.unit is None or not made.slices or progress.total <= 1:
            return None
        channels = progress.total // made.slices
        slice_ = min(progress.done // channels, made.slices - 1)
        return Place(slice_ + 1, made.slices, progress.done - slice_ * channels, channels)

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the present method still takes; None before its first step."""
        return None if self._work is None else self._work.seconds_left

    def run(self) -> Generator[Progress, None, None]:
        """Run every method; can be closed at any yield.

        Raises
        ------
        GliocamError
            For a wrong setting, before the first method runs.
        """
        known = yield from self.ready.getting()
        from napari_gliocam.cams.run.prepare import asking, with_probabilities
        from napari_gliocam.trust.randomisation import MapRecipe

        if self.result is not None:
            known = with_probabilities(known, self.result)
        works = self.request.explainings(known)
        self.recipes = {one.name: MapRecipe.of(one) for one in works if one.remade}
        self.keys = [(one.name, target) for one in works for target in one.targets]
        if self.request.scope == "lesion":
            known = yield from asking(known)
        self.ready.prepared = known
        for one in works:
            one.prepared = known
            self._work = one
            try:
                yield from one.run()
            except GeneratorExit:
                self._keep(one)
                raise
            self._keep(one)
        self._work = None

    def _keep(self, one: Explaining) -> None:
        """Keep the maps that a method has made by now."""
        maps = one.so_far()
        if maps is not None and maps.spoken_slices.any():
            self.maps.append(maps)
