"""A training in a process of its own: ``python -m napari_gliocam.train.run.process REQUEST.json``.

Events go to standard output, a json object a line; the last has the kind ``end``.  A file called
``stop`` in the work folder, or the line ``stop`` on standard input, stops it.  If whoever started
it goes away, it works on.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_gliocam.errors import GliocamError
from napari_gliocam.train.run.request import TrainingRequest, load_request


def main(file: Path) -> int:
    """Run a request; the exit status is 0 where it was done or stopped."""
    try:
        request = load_request(file)
    except GliocamError as error:
        emit({"kind": "end", "state": "failed", "sentence": str(error)})
        return 1
    threading.Thread(target=_listen, args=(request,), daemon=True).start()
    try:
        emit({"kind": "progress", "done": 0, "total": 1, "what": "starting"})
        done = _run(request)
    except GliocamError as error:
        emit({"kind": "end", "state": "failed", "sentence": str(error)})
        return 1
    except BaseException as error:
        sentence = f"The training failed unexpectedly ({type(error).__name__}: {error})."
        emit({"kind": "end", "state": "failed", "sentence": sentence})
        raise
    state = "stopped" if done is None else "done"
    emit({"kind": "end", "state": state, "sentence": "", "bundle": request.out})
    return 0


def emit(event: dict[str, Any]) -> None:
    """Write an event; nobody may be there to read it any more."""
    with suppress(OSError, ValueError):
        sys.stdout.write(json.dumps({**event, "time": time.time()}) + "\n")
        sys.stdout.flush()


def _run(request: TrainingRequest) -> Path | None:
    import torch

    from napari_gliocam.train.run.finetune import run_request

    if request.threads:
        torch.set_num_threads(request.threads)
    return run_request(request, emit)


def _listen(request: TrainingRequest) -> None:
    """Take "stop" from standard input; its end means nothing."""
    with suppress(OSError, ValueError):
        for line in sys.stdin:
            if line.strip() == "stop":
                request.stop_file.parent.mkdir(parents=True, exist_ok=True)
                request.stop_file.touch()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
