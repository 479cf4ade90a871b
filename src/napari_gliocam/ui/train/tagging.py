"""Tags of the cases of a folder: given by keys to the slice in view, on disk at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_gliocam.io.find import CaseFiles
from napari_gliocam.train.labels.tag_file import save_tags
from napari_gliocam.train.labels.tags import SKIPPED, Tag, Tags, file_slices
from napari_gliocam.ui.jobs.engine import Job, files
from napari_gliocam.ui.model.connections import Connections
from napari_gliocam.ui.model.state import OpenCase, State
from napari_gliocam.ui.train.work import Found
from napari_gliocam.ui.viewer import navigate

if TYPE_CHECKING:
    from napari.components import ViewerModel

#: The labels that a key, or a button, gives to the slice in view.
ANSWERS = ("core", "edema", "neither", "skip")
KEYS = {"core": "C", "edema": "E", "neither": "O", "skip": "K", "undo": "U"}


@dataclass(frozen=True)
class CaseRow:
    """A case in the list.

    Parameters
    ----------
    name : str
        Name that a reader sees.
    tagged : int
        Slices with a tag, also skipped ones.
    total : int or None
        Slices of the case; None until it was opened.
    """

    name: str
    tagged: int
    total: int | None


@dataclass(frozen=True)
class Here:
    """The slice in view.

    Parameters
    ----------
    case : str
        Name of the case.
    number : int
        In the file.
    tag : Tag or None
        The slice's labels; None where it has none.
    """

    case: str
    number: int
    tag: Tag | None


@dataclass(frozen=True)
class Before:
    """The tags that one step changed, as they were before it.

    Parameters
    ----------
    tags : dict of (str, int) to Tag or None
        By case and slice; None where a slice had no tag.
    """

    tags: dict[tuple[str, int], Tag | None]


class Tagging:
    """The tags of one folder and how they change.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer that the dock belongs to.
    state : State
        The viewer's state that all docks share.
    """

    changed = Signal()
    here_changed = Signal(object)
    said = Signal(str, str)

    def __init__(self, viewer: ViewerModel, state: State) -> None:
        self.viewer, self.state = viewer, state
        self.folder: Path | None = None
        self.file: Path | None = None
        self.tags = Tags()
        #: Whether core and edema also go on to the next slice.
        self.advance = False
        self._undo: list[Before] = []
        self._cases: dict[str, CaseFiles] = {}
        self._totals: dict[str, int] = {}
        self._jobs: list[Job] = []
        self._connections = Connections(
            (viewer.dims.events.point, self.look),
            (viewer.layers.events.removed, self.look),
            (state.events.current, self.look),
        )

    def close(self) -> None:
        """Follow the viewer no more; what is being saved is saved."""
        self._connections.close()
        for job in self._jobs:
            job.succeeded.disconnect()
            job.failed.disconnect()

    def take(self, found: Found) -> None:
        """Work on the cases of this folder."""
        self.folder, self.file, self.tags = found.folder, found.labels, found.tags
        self._cases = {files_.name: files_ for files_ in found.cases}
        self._undo.clear()
        self.changed.emit()
        self.look()

    def different(self, tags: Tags) -> int:
        """Return how many slices have a tag that differs from the one in ``tags``."""
        return sum(self.tags.of(case).get(number, tag) != tag for case, number, tag in tags)

    def merge(self, tags: Tags, *, overwrite: bool) -> int:
        """Add tags, and return how many slices changed.

        Parameters
        ----------
        tags : Tags
            Labels of slices.
        overwrite : bool
            Whether they replace the tags that differ; skipped slices are tagged, too.
        """
        known = self.tags.of
        return self._put(
            {
                (case, number): tag
                for case, number, tag in tags
                if overwrite or number not in known(case)
            }
        )

    def rows(self) -> list[CaseRow]:
        """Return every case with the number of its tagged slices."""
        return [
            CaseRow(name, len(self.tags.of(name)), self._totals.get(name)) for name in self._cases
        ]

    def source(self, name: str) -> Path | None:
        """Return a file of a case."""
        return next(iter(self._cases[name].paths), None) if name in self._cases else None

    # ---- the slice in view

    @property
    def opened(self) -> OpenCase | None:
        """The case in work, where it is one of the folder's."""
        opened = navigate.case_in_work(self.viewer)
        return opened if opened is not None and self._name(opened) else None

    def here(self) -> Here | None:
        """Return the slice in view and its tag; None where no case of the folder is in view."""
        opened = self.opened
        if opened is None:
            return None
        index = navigate.slice_in_view(self.viewer, opened.case.grid)
        if index is None:
            return None
        name, number = self._name(opened), int(file_slices(opened.case.grid)[index])
        return Here(name, number, self.tags.of(name).get(number))

    def look(self, event: object = None) -> None:
        """Emit the slice in view: another one, or another case, may have come."""
        opened = self.opened
        if opened is not None and self._name(opened) not in self._totals:
            self._totals[self._name(opened)] = opened.case.grid.shape[0]
            self.changed.emit()
        self.here_changed.emit(self.here())

    def answer(self, what: str) -> None:
        """Tag the slice in view, or take the last tag back.

        Core and edema turn on and off; the others go on to the next slice, as core and edema do
        where ``advance`` is set.

        Parameters
        ----------
        what : str
            One of `KEYS`.
        """
        if what == "undo":
            self.undo()
            return
        here, opened = self.here(), self.opened
        if here is None or opened is None:
            self.said.emit("Open a case of the folder to tag its slices.", "info")
            return
        tag = here.tag if here.tag is not None and not here.tag.skipped else Tag()
        if what == "core":
            tag = Tag(not tag.core, tag.edema)
        elif what == "edema":
            tag = Tag(tag.core, not tag.edema)
        else:
            tag = SKIPPED if what == "skip" else Tag()
        self._put({(here.case, here.number): tag})
        if self.advance or what in ("neither", "skip"):
            self.step(1)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._undo)

    def undo(self) -> None:
        """Take the last step back, and return to its slice where its case is in view."""
        if not self._undo:
            self.said.emit("There is no label to undo.", "info")
            return
        before = self._undo.pop().tags
        for (case, number), tag in before.items():
            self.tags.put(case, number, tag)
        opened = self.opened
        if len(before) == 1 and opened is not None:
            ((case, number),) = before
            numbers = file_slices(opened.case.grid).tolist()
            if case == self._name(opened) and number in numbers:
                index = numbers.index(number)
                navigate.go_to_slice(self.viewer, opened.case.grid, index)
        self._save()

    def _put(self, tags: dict[tuple[str, int], Tag]) -> int:
        """Tag slices in one step; return how many changed."""
        before = {
            (case, number): self.tags.of(case).get(number)
            for (case, number), tag in tags.items()
            if self.tags.of(case).get(number) != tag
        }
        if before:
            self._undo.append(Before(before))
        for case, number in before:
            self.tags.put(case, number, tags[case, number])
        self._save()
        return len(before)

    def step(self, by: int) -> None:
        """Go on in the case in view."""
        opened = self.opened
        if opened is None:
            return
        index = navigate.slice_in_view(self.viewer, opened.case.grid)
        if index is not None and 0 <= index + by < opened.case.grid.shape[0]:
            navigate.go_to_slice(self.viewer, opened.case.grid, index + by)

    def rest_shows_nothing(self) -> None:
        """Tag the other slices of the case in view as showing neither core nor edema."""
        opened = self.opened
        if opened is None:
            return
        name, known = self._name(opened), self.tags.of(self._name(opened))
        slices = range(opened.case.grid.shape[0])
        self._put({(name, number): Tag() for number in slices if number not in known})

    def _name(self, opened: OpenCase) -> str:
        """Return the folder's name for a case in the viewer; empty for any other case."""
        sources = set(opened.case.sources.values())
        for name, files_ in self._cases.items():
            if sources & set(files_.paths):
                return name
        return ""

    def _save(self) -> None:
        """Write all tags, on the thread that writes files, in the order of the answers."""
        if self.file is not None:
            file = self.file
            tags = Tags({case: dict(slices) for case, slices in self.tags.cases.items()})
            job = files().submit(lambda: save_tags(tags, file), "Save tags")
            job.failed.connect(lambda sentence: self.said.emit(sentence, "error"))
            self._jobs = [*(j for j in self._jobs if not j.ended), job]
        self.changed.emit()
        self.here_changed.emit(self.here())
