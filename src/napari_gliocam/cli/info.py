"""The command ``info``: versions, devices, bundle."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import typer

from napari_gliocam import __version__
from napari_gliocam.cli.console import FAILED, WRONG_CALL, AsJson, Bundle, Debug, echo, sentences
from napari_gliocam.errors import GliocamError

PACKAGES = ("torch", "napari", "nibabel", "numpy", "npe2", "superqt")


def info(bundle: Bundle = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Print versions, devices and the bundle of weights."""
    with sentences(debug):
        facts = gather(bundle)
        if as_json:
            typer.echo(json.dumps(facts, indent=2))
        else:
            echo("\n".join(lines(facts)))
        if "error" in facts["bundle"]:
            raise typer.Exit(WRONG_CALL if bundle else FAILED)


def gather(bundle: Path | None) -> dict[str, Any]:
    """Collect the facts, with plain values (imports torch).

    Parameters
    ----------
    bundle : Path or None
        The bundle that ships by default.
    """
    return {
        "napari-gliocam": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: _version(name) for name in PACKAGES},
        "qt": _qt(),
        "devices": _devices(),
        "bundle": _bundle(bundle),
    }


def lines(facts: dict[str, Any]) -> list[str]:
    """Return the facts as lines of text."""
    flat = dict(facts)
    flat["qt"] = flat["qt"] or 'no binding (pip install "napari-gliocam[all]" brings one)'
    flat["devices"] = "; ".join(
        f"{name}: {words}" for name, words in flat["devices"].items() if name != "auto"
    )
    about = flat.pop("bundle")
    if "error" in about:
        flat["bundle"] = about["error"]
    else:
        flat["bundle"] = about["name"]
        flat["origin"] = about["origin"]
        flat["licence"] = about["licence"]
        flat["modalities"] = ", ".join(about["modalities"])
        flat["folder"] = about["path"]
    width = max(len(name) for name in flat)
    return [f"{name:<{width}}  {value}" for name, value in flat.items()]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _qt() -> str | None:
    """Return the Qt bindings that are installed, the one that napari takes first."""
    found = [f"{name} {_version(name)}" for name in ("PyQt6", "PySide6") if _version(name)]
    return ", ".join(found) or None


def _devices() -> dict[str, str]:
    from napari_gliocam.device import describe, list_devices

    return {name: describe(name) for name in list_devices()}


def _bundle(path: Path | None) -> dict[str, Any]:
    from napari_gliocam.nets.bundle_info import read_bundle_info

    try:
        info = read_bundle_info(path)
    except GliocamError as error:
        return {"error": str(error)}
    return {
        "name": info.name,
        "origin": info.origin,
        "licence": info.licence,
        "modalities": [modality.value for modality in info.modalities],
        "path": str(info.path),
    }
