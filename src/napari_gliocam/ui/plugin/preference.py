"""Preference of the reader that napari takes for a NIfTI file or a case's folder.

napari's built-in reader claims these too, without being able to read them, so a drop would
ask which reader to use each time.  Opening the panel says enough: from then on the case reader
is preferred, unless the user chose another or has another reader for NIfTI.  The choice shows
in napari's preferences and can be changed there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from typing import TYPE_CHECKING, cast

from napari_gliocam.refine.parameters import METHODS, Method, Refinement

if TYPE_CHECKING:
    from napari.settings._plugins import PluginsSettings

PLUGIN = "napari-gliocam"
_BUILTIN = "napari"
#: Patterns with a path that each matches; napari compares letter by letter.
_PATTERNS = {
    "*.nii": "case_flair.nii",
    "*.nii.gz": "case_flair.nii.gz",
    "*.[nN][iI][iI]": "case_flair.nii",
    "*.[nN][iI][iI].[gG][zZ]": "case_flair.nii.gz",
    f"*[Bb][Rr][Aa][Tt][Ss]*{os.sep}": f"{os.sep}BraTS{os.sep}",
}


@dataclass(frozen=True)
class Defaults:
    """Defaults of a new window; set in napari's preferences, since napari 0.9.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "mps"}
        The processor that runs the networks.
    bundle : str
        Folder of a bundle of weights; empty for the one that ships.
    refinement : str
        A refinement's method, or ``"default"``.
    """

    device: str = "auto"
    bundle: str = ""
    refinement: str = "default"

    @property
    def wanted(self) -> Refinement:
        """The refinement that a newly opened case starts with."""
        if self.refinement == "none":
            return Refinement.nothing()
        method = cast(Method, self.refinement)
        return replace(Refinement(), method=method) if method in METHODS else Refinement()


def get_defaults() -> Defaults:
    """Return what the user set in napari's preferences."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:  # before napari 0.9
        return Defaults()
    try:
        chosen = get_plugin_settings(PLUGIN).defaults
    except (KeyError, AttributeError):  # napari read no manifest of ours
        return Defaults()
    return Defaults(chosen.device, chosen.bundle, chosen.refinement)


def get_preferences() -> PluginsSettings:
    """Return the user's preferences about plugins."""
    from napari.settings import get_settings

    return get_settings().plugins


def prefer_case_reader() -> None:
    """Prefer the case reader where nobody else is preferred or able."""
    from npe2 import PluginManager

    able = {r.plugin_name for r in PluginManager.instance().iter_compatible_readers(["x.nii"])}
    if able - {PLUGIN, _BUILTIN} or PLUGIN not in able:
        return
    settings = get_preferences()
    chosen = dict(settings.extension2reader)
    free = {
        pattern: PLUGIN
        for pattern, example in _PATTERNS.items()
        if not any(fnmatch(example, one) and reader != PLUGIN for one, reader in chosen.items())
    }
    if not free.keys() <= chosen.keys():
        settings.extension2reader = {**chosen, **free}
