"""Events of a training: dataclasses that go through a pipe or a file as json lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from napari_gliocam.progress import Progress


@dataclass(frozen=True)
class TrainingReport:
    """The state of a training after a step.

    Parameters
    ----------
    stage : str
        Name of the stage, such as ``"classifier.tumour"``.
    epoch, epochs : int
        Epochs finished, and epochs in all.
    step, steps : int
        Steps finished in the stage, and steps in all.
    values : dict of str to float
        Latest finite values by name: ``train_loss``, ``val_loss``, ``val_auc_core``, ``rate``, and
        single terms of the loss such as ``train_agree``.  Losses are means over the last epoch.
    note : str
        A sentence that a user should read, for example that memory ran out; mostly empty.
    """

    stage: str
    epoch: int
    epochs: int
    step: int
    steps: int
    values: dict[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Note:
    """Something that a user should know.

    Parameters
    ----------
    sentence : str
        One sentence.
    """

    sentence: str


@dataclass(frozen=True)
class Plan:
    """A summary of the slices and steps of a training, in real counts.

    Parameters
    ----------
    words : str
        One sentence with the counts.
    train, validation : tuple of str
        Names of the cases to learn from, and of those to judge with.
    slices : int
        Number of labelled slices of all these cases.
    shown : dict of str to int
        Number of slices that show tumour, core and edema.
    rehearsal : int
        Number of synthetic slices besides.
    concerns : tuple of str
        A sentence for each thing there is little of; the training runs all the same.
    left_out : dict of str to str
        Cases that cannot be used, with the reason.
    steps : dict of str to int
        Number of steps of each stage.
    """

    words: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    slices: int
    shown: dict[str, int]
    rehearsal: int
    concerns: tuple[str, ...]
    left_out: dict[str, str]
    steps: dict[str, int]


@dataclass(frozen=True)
class BetterWeights:
    """A bundle with the best weights so far was written.

    Parameters
    ----------
    path : str
        Folder of the bundle.
    """

    path: str


@dataclass(frozen=True)
class BeforeAfterRow:
    """One figure of the bundles before and after a training.

    Parameters
    ----------
    case : str
        Name of a case, or ``"all"`` for all validation patients together.
    measure : str
        ``"AUC"`` of the slice labels, or ``"Dice"`` against expert labels.
    target : {"tumour", "core", "edema"}
        The class.
    before, after : float or None
        The figure in [0, 1]; None where it is not defined.
    """

    case: str
    measure: str
    target: str
    before: float | None
    after: float | None


@dataclass(frozen=True)
class BeforeAfter:
    """The comparison of the bundles before and after a training.

    Parameters
    ----------
    rows : tuple of BeforeAfterRow
        The figures; first those of all cases together.
    cases : tuple of str
        Names of the validation patients that were segmented.
    problems : tuple of str
        A sentence for each case that could not be segmented.
    """

    rows: tuple[BeforeAfterRow, ...] = ()
    cases: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class End:
    """The end of a training in a process of its own.

    Parameters
    ----------
    state : {"done", "stopped", "failed"}
        Outcome.
    sentence : str
        The error, if it failed.
    bundle : str
        Folder of the bundle.
    """

    state: Literal["done", "stopped", "failed"]
    sentence: str = ""
    bundle: str = ""


Event = Progress | TrainingReport | Note | Plan | BetterWeights | BeforeAfter | End
#: Takes every event of a training.
Emit = Callable[[Event], None]
#: Takes the report of each step; a result of True stops the training there, to go on later.
Reporter = Callable[[TrainingReport], bool | None]

_KINDS: dict[str, type[Any]] = {
    "progress": Progress,
    "training": TrainingReport,
    "note": Note,
    "plan": Plan,
    "weights": BetterWeights,
    "table": BeforeAfter,
    "end": End,
}


def event_to_json(event: Event) -> dict[str, Any]:
    """Return an event as plain values; ``kind`` names its class."""
    kind = next(kind for kind, cls in _KINDS.items() if type(event) is cls)
    return {"kind": kind, **asdict(event)}


def event_from_json(values: dict[str, Any]) -> Event:
    """Return the event that `event_to_json` wrote; further values are ignored.

    Parameters
    ----------
    values : dict
        Plain values, as read from a line of json.

    Raises
    ------
    ValueError
        If they are no event.
    """
    try:
        cls = _KINDS[values["kind"]]
        given = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        if cls is BeforeAfter:
            given["rows"] = tuple(BeforeAfterRow(**row) for row in given["rows"])
        plain = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        event: Event = cls(**plain)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no event of a training: {error}") from error
    return event
