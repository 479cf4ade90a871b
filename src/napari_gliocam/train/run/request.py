"""What a training is asked for, as plain values that go into a file and to another process."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from napari_gliocam.errors import TrainingError
from napari_gliocam.io.atomic import write_json
from napari_gliocam.nets.bundle import INFO_FILE

#: In a bundle's folder, while it is trained and afterwards.
WORK_NAME = "training"
#: In the work folder.
REQUEST_FILE, STOP_FILE, DONE_FILE = "request.json", "stop", "done.json"
#: What a process of its own says: events, and what Python prints besides.
REPORTS_FILE, ERRORS_FILE = "reports.jsonl", "errors.log"


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """A training that anybody can start: the window, the command line, a script.

    Parameters
    ----------
    cases : str
        Folder of cases.
    out : str
        Folder of the bundle that is made.
    recipe : dict
        `napari_gliocam.train.recipe.toml_file.recipe_values`.
    labels : str
        The csv with slice labels; empty derives them from expert labels.
    bundle : str
        Folder of the bundle to go on from; empty takes the one that ships.
    name : str
        Of the new bundle; empty takes the folder's.
    cache : str
        Where prepared slices go; empty puts them beside the cases.
    work : str
        Checkpoints and logs; empty puts them into ``out``.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
    devices, nodes, workers : int
        As in `napari_gliocam.train.run.fit.Machine`.
    threads : int
        Of torch on the CPU; 0 leaves it to torch.
    compare : int
        At most so many validation patients are segmented before and after.
    """

    cases: str
    out: str
    recipe: dict[str, Any] = field(default_factory=dict)
    labels: str = ""
    bundle: str = ""
    name: str = ""
    cache: str = ""
    work: str = ""
    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    workers: int = 0
    threads: int = 0
    compare: int = 20

    @property
    def out_dir(self) -> Path:
        """The bundle's folder."""
        return Path(self.out)

    @property
    def work_dir(self) -> Path:
        """The folder of checkpoints and logs."""
        return Path(self.work) if self.work else self.out_dir / WORK_NAME

    @property
    def stop_file(self) -> Path:
        """Whoever makes it stops the training."""
        return self.work_dir / STOP_FILE

    @property
    def finished(self) -> bool:
        """Whether the folder holds a bundle that nothing is to be done about any more."""
        done = (self.work_dir / DONE_FILE).exists() or not self.work_dir.exists()
        return done and (self.out_dir / INFO_FILE).exists()

    def save(self) -> Path:
        """Write it into the work folder, for a process to read.

        Raises
        ------
        TrainingError
            If that cannot be written.
        """
        file = self.work_dir / REQUEST_FILE
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, asdict(self))
        except OSError as error:
            raise TrainingError(
                f'"{self.work_dir}" cannot be written ({error.strerror or error}); choose another '
                "folder."
            ) from error
        return file


def load_request(file: Path) -> TrainingRequest:
    """Read what `TrainingRequest.save` wrote.

    Raises
    ------
    TrainingError
        If it is missing or damaged.
    """
    try:
        return TrainingRequest(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(
            f'"{file}" is no training that can be gone on with ({error}); start it anew.'
        ) from error
