"""The bundles of a user: listed, compared, renamed, removed.  torch is not needed."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from napari_gliocam.errors import BundleError, SaveError
from napari_gliocam.io.atomic import write_files
from napari_gliocam.nets.bundle import WEIGHTS_FILE
from napari_gliocam.nets.bundle_info import INFO_FILE, BundleInfo, read_bundle_info, shipped_paths

#: In a bundle's folder, written when it is trained.
TABLE_FILE = "before-after.csv"


@dataclass(frozen=True)
class Listed:
    """A bundle in the list.

    Parameters
    ----------
    info : BundleInfo
        The bundle's name, origin, licence and design.
    figures : dict of (measure, class) to float
        What it reached on its validation patients, such as ``("AUC", "core")``.
    ships : bool
        Whether it comes with the package: it can be neither renamed nor removed.
    """

    info: BundleInfo
    figures: dict[tuple[str, str], float] = field(default_factory=dict)
    ships: bool = False

    @property
    def path(self) -> Path:
        """Its folder."""
        assert self.info.path is not None
        return self.info.path


def bundles_folder() -> Path:
    """Return the default folder of new bundles, which may not exist yet."""
    from platformdirs import user_data_path

    return Path(user_data_path("napari-gliocam", appauthor=False)) / "bundles"


def list_bundles(folder: Path | None = None) -> list[Listed]:
    """Return the bundles that ship, the default first, then those in a folder by name.

    Parameters
    ----------
    folder : Path, optional
        `bundles_folder` by default.  What is no bundle, or damaged, is left out.
    """
    folder = folder or bundles_folder()
    found = []
    for file in sorted(folder.glob(f"*/{INFO_FILE}")):
        try:
            info = read_bundle_info(file.parent)
        except BundleError:
            continue
        if (file.parent / WEIGHTS_FILE).exists():
            found.append(Listed(info, figures_of(file.parent)))
    own = sorted(found, key=lambda listed: listed.info.name.casefold())
    return [*(Listed(read_bundle_info(path), ships=True) for path in shipped_paths()), *own]


def figures_of(folder: Path) -> dict[tuple[str, str], float]:
    """Return a bundle's figures on all its validation patients; empty where not measured."""
    try:
        with (folder / TABLE_FILE).open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        return {
            (row["measure"], row["class"]): float(row["after"])
            for row in rows
            if row["case"] == "all" and row["after"]
        }
    except (OSError, KeyError, ValueError):
        return {}


def rename_bundle(folder: Path, name: str) -> None:
    """Rename a bundle; its folder stays where it is.

    Raises
    ------
    BundleError
        If the name is empty, or the bundle ships with the package.
    SaveError
        If it cannot be written.
    """
    name = name.strip()
    if not name:
        raise BundleError("A bundle needs a name; type one.")
    _own(folder)
    read_bundle_info(folder)
    file = folder / INFO_FILE
    raw = json.loads(file.read_text(encoding="utf-8"))
    raw["name"] = name
    text = json.dumps(raw, indent=2, ensure_ascii=False) + "\n"
    write_files({file: text.encode()}, overwrite=True)


def remove_bundle(folder: Path) -> None:
    """Delete a bundle with all that its training left.

    Raises
    ------
    BundleError
        If it is no bundle, or ships with the package.
    SaveError
        If something could not be deleted.
    """
    _own(folder)
    read_bundle_info(folder)  # nothing but a bundle is ever deleted
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise SaveError(
            f'"{folder}" could not be removed ({error.strerror or error}); close what uses it.'
        ) from error


def _own(folder: Path) -> None:
    if folder.resolve() in {path.resolve() for path in shipped_paths()}:
        raise BundleError("This bundle comes with napari-gliocam and stays as it is.")
