"""A training in a process of its own: ``python -m napari_gliocam.train.run.process REQUEST.json``.

Events go to standard output, a json object a line; the last has the kind ``end``.  A file called
``stop`` in the work folder, or the line ``stop`` on standard input, stops the training.  It works
on if the process that started it goes away.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import Progress
from napari_gliocam.train.run.events import End, Event, event_to_json
from napari_gliocam.train.run.request import TrainingRequest, load_request


def main(file: Path) -> int:
    """Run the request in a file; return the exit status, 0 if it was done or stopped."""
    try:
        request = load_request(file)
        threading.Thread(target=_listen, args=(request,), daemon=True).start()
        emit(Progress(0, 1, "starting"))
        done = _run(request)
    except GliocamError as error:
        emit(End("failed", str(error)))
        return 1
    except BaseException as error:
        emit(End("failed", f"The training failed unexpectedly ({type(error).__name__}: {error})."))
        raise
    emit(End("stopped" if done is None else "done", bundle=request.out))
    return 0


def emit(event: Event) -> None:
    """Write an event to standard output, even if nobody reads it any more."""
    with suppress(OSError, ValueError):
        sys.stdout.write(json.dumps({**event_to_json(event), "time": time.time()}) + "\n")
        sys.stdout.flush()


def _run(request: TrainingRequest) -> Path | None:
    import torch

    from napari_gliocam.train.run.training import run_request

    if request.threads:
        torch.set_num_threads(request.threads)
    return run_request(request, emit)


def _listen(request: TrainingRequest) -> None:
    """Take the line "stop" from standard input; its end means nothing."""
    with suppress(OSError, ValueError):
        for line in sys.stdin:
            if line.strip() == "stop":
                request.stop_file.parent.mkdir(parents=True, exist_ok=True)
                request.stop_file.touch()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
