"""What runs on the engine's thread: the only functions here that import torch."""

from __future__ import annotations

from collections.abc import Generator
from functools import lru_cache
from pathlib import Path
from typing import Any

from napari_gliocam.cams.volume import CamVolume
from napari_gliocam.case import Case
from napari_gliocam.progress import Progress
from napari_gliocam.ui.two_llvms import keep_triton_out


def segment(case: Case, bundle: Path | None, device: str) -> Generator[Progress, None, CamVolume]:
    """The maps of a case; the bundle stays loaded for the next."""
    keep_triton_out()
    from napari_gliocam.segmentation import compute_maps

    yield Progress(0, 1, "loading the bundle")
    maps = yield from compute_maps(case, bundle=loaded(bundle), device=device)
    return maps


def loaded(bundle: Path | None) -> Any:
    """The bundle of a folder, None for the one that ships; loaded until another is asked for."""
    from napari_gliocam.nets.bundle import INFO_FILE, bundled_path

    file = (bundle or bundled_path()) / INFO_FILE
    return _bundle(bundle, file.stat().st_mtime_ns if file.exists() else 0)


@lru_cache(maxsize=1)
def _bundle(path: Path | None, written: int) -> Any:
    """The bundle of a folder, loaded once until it is written anew."""
    from napari_gliocam.nets.bundle import load_bundle

    return load_bundle(path)


def devices() -> tuple[tuple[str, str], ...]:
    """Name and title of each device there is; "auto" first."""
    keep_triton_out()
    from napari_gliocam.device import describe, list_devices

    return tuple(
        (name, f"Automatic: {describe(name)}" if name == "auto" else describe(name))
        for name in list_devices()
    )


def phantom(kind: str, seed: int = 3) -> Case:
    """A synthetic case."""
    keep_triton_out()
    from napari_gliocam.phantom import make_phantom

    case: Case = make_phantom(kind, seed=seed)  # type: ignore[arg-type]
    return case
