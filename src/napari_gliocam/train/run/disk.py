"""A disk that fills while something is trained."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_gliocam.errors import TrainingError

#: What torch says instead of the system's words.
_TORCH = ("No space left on device", "PytorchStreamWriter failed", "unexpected pos")


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Turn the errors of a full disk into a sentence.

    Raises
    ------
    TrainingError
        What is on disk stays whole: the training goes on from the checkpoint before.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise TrainingError(_sentence(folder)) from error
    except RuntimeError as error:
        if not any(words in str(error) for words in _TORCH):
            raise
        raise TrainingError(_sentence(folder)) from error


def _sentence(folder: Path) -> str:
    return (
        f'The disk of "{folder}" is full; make room and resume, the training goes on from its last '
        "checkpoint."
    )
