"""The description of a bundle: all that is needed to use its weights, read and checked.

Nothing of torch is needed for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, get_type_hints

from napari_gliocam.case import Modality
from napari_gliocam.errors import BundleError
from napari_gliocam.nets.design import Design
from napari_gliocam.nets.segmenters.design import SegmenterDesign
from napari_gliocam.plain import value_of
from napari_gliocam.slices import Normalisation
from napari_gliocam.targets import TARGETS, TUMOUR_ALONE, Target

INFO_FILE = "bundle.json"

#: Changes when earlier bundles can no longer be read.
FORMAT = 1
#: More than any bundle that we write needs; a larger one is refused before memory is taken.
_LARGEST_JSON, _DEEPEST = 1 << 20, 20


@dataclass(frozen=True)
class TrustFigures:
    """Measured quality of the maps of a bundle, and of their doubt, on patients with outlines.

    Made by ``benchmarks/trust.py bundle``; nothing is learned from it.

    Parameters
    ----------
    patients : int
        How many were measured, 1 or more.
    error_in_tenth : 3 float
        Part of the wrong voxels in the tenth of the brain with most doubt: least, mean and most
        of the patients, each in [0, 1].
    volume_in_range : dict of Target to int
        Patients whose outlined volume lies in the range that the doubt covers.
    temperature : dict of Target to float
        The temperature, 0.1 to 10, at which the outlines are most likely under the map values.
    ece, ece_at_temperature : dict of Target to float
        Expected calibration error over the brain as it is, and at the temperature of the other
        patients; mean over the patients, in [0, 1].
    """

    patients: int
    error_in_tenth: tuple[float, float, float]
    volume_in_range: Mapping[Target, int]
    temperature: Mapping[Target, float]
    ece: Mapping[Target, float]
    ece_at_temperature: Mapping[Target, float]

    def __post_init__(self) -> None:
        by_target = (
            (self.volume_in_range, (0, self.patients)),
            (self.temperature, (0.1, 10)),
            (self.ece, (0, 1)),
            (self.ece_at_temperature, (0, 1)),
        )
        right = self.patients >= 1 and all(0 <= part <= 1 for part in self.error_in_tenth)
        for figures, (low, high) in by_target:
            right &= set(figures) == set(TARGETS)
            right &= all(low <= value <= high for value in figures.values())
        if not right:
            raise ValueError("figures in their ranges, of tumour, core and edema")


@dataclass(frozen=True)
class BundleInfo(Design):
    """A bundle's description, and the design of its networks (see `Design`).

    Parameters
    ----------
    name : str
        The name that a user reads.
    origin : str
        Source of the weights, one line.
    licence : str
        SPDX name.
    modalities : tuple of Modality
        The networks' channels in order.
    optional_modalities : tuple of Modality
        Modalities that it was trained to do without.
    pixel_mm : float
        In-plane pixel of a network slice, 0.25 to 10.
    polarity : dict of str to list of int
        For each target: per exit 1 where high means lesion, -1 where the network learned it the
        other way round; 1 for a target that is left out.
    across_slices_mm : float
        Standard deviation of the average over neighbouring slices, 0 to 50, see
        `napari_gliocam.maps.across_slices.smooth_across_slices`; 0: each slice by itself.
    tumour_threshold, class_threshold : float
        Thresholds of the maps, in [0, 1]; by default those of paper 1.
    gate_probability : float
        Least image-level probability at which a slice shows a class, in [0, 1].
    normalisation : Normalisation
        How intensities become network input.
    segmenter : SegmenterDesign or None
        Design of the segmentation network, where the bundle has one beside the networks of the
        maps.
    measured : TrustFigures or None
        What it came to on patients with outlines, where that was measured.
    training : dict
        Recipe, data, seed, hours, machine: free form, shown in the model card.
    path : Path or None
        Folder that it was read from.
    """

    name: str
    origin: str
    licence: str
    modalities: tuple[Modality, ...] = (Modality.T1CE, Modality.T2, Modality.FLAIR)
    optional_modalities: tuple[Modality, ...] = ()
    pixel_mm: float = 1.5
    polarity: Mapping[Target, Sequence[int]] = field(default_factory=dict)
    across_slices_mm: float = 0.0
    tumour_threshold: float = 0.40
    class_threshold: float = 0.50
    gate_probability: float = 0.50
    normalisation: Normalisation = field(default_factory=Normalisation)
    segmenter: SegmenterDesign | None = None
    measured: TrustFigures | None = None
    training: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None

    def worse_without(self, present: Collection[Modality]) -> str:
        """Say how much worse the result is where a case lacks optional modalities.

        ``training["dice"]`` holds the mean volume Dice of each target on the patients that it was
        measured on, under ``"all"`` and under the missing modalities, such as ``"t1ce"``.

        Parameters
        ----------
        present : collection of Modality
            Those of the case.

        Returns
        -------
        str
            One sentence; empty where nothing is missing, and where a modality is that is not
            optional: such a case is refused.
        """
        missing = [m for m in self.modalities if m not in present]
        if not missing or not set(missing) <= set(self.optional_modalities):
            return ""
        names = " and ".join(m.title for m in missing)
        try:
            measured = self.training["dice"]
            whole, less = measured["all"], measured["+".join(missing)]
            figures = ", ".join(
                f"{t} {less[t]:.2f} instead of {whole[t]:.2f}" for t in self.targets
            )
        except (KeyError, TypeError, ValueError):
            return f"Without {names} the result is worse; by how much was not measured."
        return f"Dice without {names}: {figures} (mean of the patients in the model card)."

    def to_json(self) -> dict[str, Any]:
        """Return all fields but the path, and those that are not there, as plain values."""
        plain = asdict(self)
        plain.pop("path")
        plain["polarity"] = {t: list(self.polarity.get(t, [1, 1, 1, 1])) for t in self.targets}
        for name in ("segmenter", "measured"):
            if plain[name] is None:
                plain.pop(name)
        return {"format": FORMAT, **plain}


def bundled_path() -> Path:
    """Return the folder of the bundle that ships with the package."""
    return Path(str(files("napari_gliocam") / "weights" / "default"))


def shipped_paths() -> tuple[Path, ...]:
    """Return the folders of all bundles that ship with the package, the default first."""
    default = bundled_path()
    others = (file.parent for file in sorted(default.parent.glob(f"*/{INFO_FILE}")))
    return (default, *(folder for folder in others if folder != default))


def _folder_of(path: str | Path | None) -> Path:
    """Return a bundle's folder from a path, the name of one that ships, or None for the default."""
    if path is None:
        return bundled_path()
    folder = Path(path)
    if folder.exists() or len(folder.parts) != 1:
        return folder
    shipped = {ship.name: ship for ship in shipped_paths()[1:]}
    return shipped.get(folder.name, folder)


def read_bundle_info(path: str | Path | None = None) -> BundleInfo:
    """Read a bundle's description alone; torch is not needed.

    Parameters
    ----------
    path : str or Path, optional
        The bundle's folder, or the name of one that ships, such as "gliocam-synthetic-2"; the
        default bundle if left out.

    Raises
    ------
    BundleError
        If it is missing, damaged, or of another kind.
    """
    folder = _folder_of(path)
    file = folder / INFO_FILE
    if not file.is_file():
        raise BundleError(
            f'"{folder}" is no bundle: it holds no {INFO_FILE}; choose a folder that '
            "napari-gliocam wrote, or leave the bundle out to use the one that ships."
        )
    try:
        if file.stat().st_size > _LARGEST_JSON:
            raise ValueError(f"larger than {_LARGEST_JSON >> 20} MiB")
        raw = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        if raw.pop("format") != FORMAT:
            raise BundleError(
                f'The bundle "{folder}" was written by another version of napari-gliocam; '
                "train or export it again with this one."
            )
        return BundleInfo(**_checked(raw), path=folder)
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise BundleError(
            f'"{file}" is damaged or not a bundle\'s description ({error}); '
            "copy the bundle again or choose another."
        ) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _checked(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of `BundleInfo` from a description, each of its type and in its range.

    Raises
    ------
    ValueError, KeyError
        If one is missing, of another type, or out of range.
    """
    required = ("name", "origin", "licence", "modalities", "optional_modalities", "normalisation")
    for name in required:
        raw[name]
    hints = get_type_hints(BundleInfo)
    unknown = sorted(set(raw) - (set(hints) - {"path"}))
    if unknown:
        raise ValueError(f'unknown entry "{unknown[0]}"')
    fields: dict[str, Any] = {}
    for name, value in raw.items():
        try:
            read = _SPECIAL.get(name, partial(value_of, hints[name]))
            fields[name] = read(value)
        except ValueError as error:
            raise ValueError(f"{name}: give {error}") from error
    for name, (low, high) in _RANGES.items():
        if not low <= fields.get(name, low) <= high:
            raise ValueError(f"{name}: give a number between {low:g} and {high:g}")
    for name, longest in _LONGEST.items():
        if len(fields[name]) > longest or not fields[name].isprintable():
            raise ValueError(f"{name}: give a line of text of at most {longest} characters")
    modalities, optional = fields["modalities"], fields["optional_modalities"]
    if not modalities or any(len(set(some)) < len(some) for some in (modalities, optional)):
        raise ValueError("modalities: give some, each once")
    if not set(optional) <= set(modalities):
        raise ValueError("optional_modalities: not among the modalities")
    targets = fields.get("targets", TARGETS)
    if targets not in (TARGETS, TUMOUR_ALONE):
        return fields  # which `Design` refuses
    if "polarity" in fields and set(fields["polarity"]) != set(targets):
        raise ValueError(f"polarity: give four signs for each of {', '.join(targets)}")
    for name in ("segmenter", "measured"):
        if targets != TARGETS and name in fields:
            raise ValueError(f"{name}: only with the targets {', '.join(TARGETS)}")
    return fields


def _polarity(value: Any) -> dict[Target, list[int]]:
    found = value_of(Mapping[str, tuple[int, ...]], value)
    for target, signs in found.items():
        if len(signs) != 4 or not {1, -1} >= set(signs):
            raise ValueError(f"four times 1 or -1 as polarity of {target}")
    return {target: list(signs) for target, signs in found.items()}


def _segmenter(value: Any) -> Any:
    """Return the design of a segmentation network; earlier bundles had one share for both."""
    if isinstance(value, dict) and "share" in value:
        both = dict.fromkeys(("tumour_share", "class_share"), value["share"])
        value = {**both, **{name: one for name, one in value.items() if name != "share"}}
    return value_of(SegmenterDesign, value)


def _free_form(value: Any, depth: int = 0) -> dict[str, Any]:
    """Return a table as it is, unless it is nested deeper than one that we write."""
    if depth > _DEEPEST or (depth == 0 and not isinstance(value, dict)):
        raise ValueError(f"a table, nested at most {_DEEPEST} deep")
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, (dict, list)):
            _free_form(part, depth + 1)
    found: dict[str, Any] = value
    return found


#: Entries that are not read by their type alone.
_SPECIAL: dict[str, Callable[[Any], Any]] = {
    "polarity": _polarity,
    "segmenter": _segmenter,
    "training": _free_form,
}
#: Least and largest value of numbers; `Design` and the other parts know their own.
_RANGES = {
    "pixel_mm": (0.25, 10),
    "across_slices_mm": (0, 50),
    "width": (1, 512),
    **dict.fromkeys(("tumour_threshold", "class_threshold", "gate_probability"), (0, 1)),
}
#: Characters of lines of text.
_LONGEST = {"name": 200, "origin": 2000, "licence": 200}
