"""The request for a training: plain values that go into a file and to another process."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_gliocam.errors import SaveError, TrainingError

#: Name of the work folder in a bundle's folder.
WORK_NAME = "training"
#: Files in the work folder.
REQUEST_FILE, STOP_FILE, DONE_FILE = "request.json", "stop", "done.json"
#: Output of a training in a process of its own: events, and whatever else Python prints.
REPORTS_FILE, ERRORS_FILE = "reports.jsonl", "errors.log"
#: Fields that hold a path.
_READ = ("cases", "labels", "bundle", "cache", "masks", "second_masks", "anatomies", "split")
_WRITTEN = ("out", "work")


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """Everything that a training needs to know; filled by window, command line and scripts alike.

    Parameters
    ----------
    cases : str
        Folder of cases.
    out : str
        Folder of the new bundle.
    recipe : dict
        Values of the recipe, see `napari_gliocam.train.recipe.toml_file.recipe_values`: those of a
        `Recipe`, or of a `SegmenterRecipe` where there are masks.
    labels : str
        Table of slice labels, case,slice,core,edema; by default they come from expert labels, or
        from the masks.
    bundle : str
        Folder, or name, of the bundle to go on from; the one that ships by default.
    name : str
        Name of the new bundle; that of its folder by default.
    cache : str
        Folder for prepared slices, which stay there; by default beside the cases, and with masks in
        the new bundle's folder until the end.
    work : str
        Folder for checkpoints and logs; in that of the new bundle by default.
    device : {"auto", "cpu", "cuda", "mps"}
        Device to train on.
    devices : int
        Devices of each node.
    nodes : int
        Number of nodes.
    workers : int
        Processes that prepare or draw cases, and that load slices for each device.
    threads : int
        Threads of torch on the CPU; 0 leaves the number to torch.
    compare : int
        Largest number of validation patients that are segmented before and after.
    case_names : bool
        Name and picture the validation patients in the bundle's folder; else number them.
    masks : str
        Folder of computed masks, of pseudo-label or segment, that a segmentation network learns
        from; without one the networks of the maps are trained.
    second_masks : str
        Folder of second masks of the same cases (paper 3: by a CRF); none by default.
    split : str
        Table of case,split (train, validation or test); by seed by default.
    fold : int
        Number of the fold in ``split`` that is judged with, from 1; 0 reads its column split.
    anatomies : str
        Folder of anatomies that synthetic cases are drawn into; brains by formulas by default.
    """

    cases: str
    out: str
    recipe: dict[str, Any] = field(default_factory=dict)
    labels: str = ""
    bundle: str = ""
    name: str = ""
    cache: str = ""
    work: str = ""
    device: str = field(default="auto", metadata={"choices": ("auto", "cpu", "cuda", "mps")})
    devices: int = field(default=1, metadata={"min": 1})
    nodes: int = field(default=1, metadata={"min": 1})
    workers: int = field(default=0, metadata={"min": 0})
    threads: int = 0
    compare: int = 20
    case_names: bool = True
    masks: str = ""
    second_masks: str = ""
    anatomies: str = ""
    split: str = ""
    fold: int = 0

    @property
    def out_dir(self) -> Path:
        """Folder of the bundle."""
        return Path(self.out)

    @property
    def work_dir(self) -> Path:
        """Folder of checkpoints and logs."""
        return Path(self.work) if self.work else self.out_dir / WORK_NAME

    @property
    def stop_file(self) -> Path:
        """A file that stops the training when somebody makes it."""
        return self.work_dir / STOP_FILE

    @property
    def finished(self) -> bool:
        """True if the folder holds a bundle whose training is over."""
        from napari_gliocam.nets.bundle_info import INFO_FILE

        with suppress(OSError):  # a name that no file can have
            done = (self.work_dir / DONE_FILE).exists() or not self.work_dir.exists()
            return done and (self.out_dir / INFO_FILE).exists()
        return False

    @property
    def outside(self) -> tuple[str, ...]:
        """Folders and files outside of the bundle's folder that the training would use."""
        own = self.out_dir.resolve()
        paths = [p for name in (*_READ, *_WRITTEN) if (p := getattr(self, name))]
        return tuple(p for p in paths if not Path(p).resolve().is_relative_to(own))

    def check_folders(self) -> None:
        """Raise `SaveError` where bundle or checkpoints could not be written."""
        from napari_gliocam.io.atomic import check_writable  # imports nibabel: slow for --help

        check_writable(self.out_dir)
        check_writable(self.work_dir, [REQUEST_FILE])

    def absolute(self) -> TrainingRequest:
        """Return the request with absolute paths, so that it holds in any working folder."""
        paths = {name: getattr(self, name) for name in (*_READ, *_WRITTEN)}
        full: dict[str, Any] = {
            n: str(Path(p).expanduser().absolute()) for n, p in paths.items() if p
        }
        return replace(self, **full)

    def save(self) -> Path:
        """Write the request into the work folder, for a process to read.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        TrainingError
            If it cannot be written.
        """
        from napari_gliocam.io.atomic import write_json  # imports nibabel: slow for --help

        request = self.absolute()
        file = request.work_dir / REQUEST_FILE
        try:
            write_json(file, {**asdict(request), "relative": request._relative()})
        except SaveError as error:
            reason = getattr(error.__cause__, "strerror", None) or error
            raise TrainingError(
                f'"{self.work_dir}" cannot be written ({reason}); choose another folder.'
            ) from error
        return file

    def _relative(self) -> dict[str, str]:
        """Return the paths from the work folder, which stay right if all folders move together."""
        relative = {}
        for name in _READ:
            if path := getattr(self, name):
                try:
                    relative[name] = os.path.relpath(path, self.work_dir)
                except ValueError:  # another drive
                    continue
        return relative


def load_request(file: Path) -> TrainingRequest:
    """Read a request that `TrainingRequest.save` wrote.

    The training writes where the file lies, whatever folder the file names; a file that came with
    a folder from elsewhere cannot write outside of that folder.  Cases, labels and bundle that are
    no longer at their place are looked for at the same place relative to the file.

    Parameters
    ----------
    file : Path
        The file in a work folder.

    Returns
    -------
    TrainingRequest

    Raises
    ------
    TrainingError
        If it is missing or damaged.
    """
    file = file.absolute()
    folder = file.parent
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        relative = values.pop("relative", {})
        request = TrainingRequest(**values)
        for name, kind in TrainingRequest.__annotations__.items():
            if type(getattr(request, name)).__name__ != kind.partition("[")[0]:
                raise TypeError(f"{name} is {getattr(request, name)!r}")
        for name in _READ:
            path, there = getattr(request, name), folder / relative.get(name, "")
            if path and name in relative and not Path(path).exists() and there.exists():
                request = replace(request, **dict[str, Any]({name: str(there.resolve())}))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise TrainingError(
            f'"{file}" is no training that can be gone on with ({error}); start it anew.'
        ) from error
    if folder.name == WORK_NAME:
        return replace(request, out=str(folder.parent), work="")
    return replace(request, work=str(folder))
