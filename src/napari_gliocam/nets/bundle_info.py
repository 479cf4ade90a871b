"""The description of a bundle: all that is needed to use its weights, read and checked.

Nothing of torch is needed for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from napari_gliocam.case import Modality
from napari_gliocam.errors import BundleError
from napari_gliocam.nets.design import Design
from napari_gliocam.nets.segmenters.design import SegmenterDesign
from napari_gliocam.slices import Normalisation
from napari_gliocam.targets import TARGETS, TUMOUR_ALONE, Target

INFO_FILE = "bundle.json"

#: Changes when earlier bundles can no longer be read.
FORMAT = 1
#: More than any bundle that we write needs; a larger one is refused before memory is taken.
_LARGEST_JSON, _DEEPEST = 1 << 20, 20
#: Takes an entry's name and value, and returns the value or raises `ValueError`.
_Check = Callable[[str, Any], Any]


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
    unknown = sorted(set(raw) - set(_FIELDS))
    if unknown:
        raise ValueError(f'unknown entry "{unknown[0]}"')
    fields = {name: _FIELDS[name](name, value) for name, value in raw.items()}
    if not set(fields["optional_modalities"]) <= set(fields["modalities"]):
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


def _text(longest: int) -> _Check:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or len(value) > longest or not value.isprintable():
            raise ValueError(f"{name}: give a line of text of at most {longest} characters")
        return value

    return check


def _number(low: float, high: float, *, whole: bool = False) -> _Check:
    def check(name: str, value: Any) -> float:
        kinds = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            kind = "whole number" if whole else "number"
            raise ValueError(f"{name}: give a {kind} between {low:g} and {high:g}")
        return value if whole else float(value)

    return check


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name}: give true or false")
    return value


def _list_of(check: _Check, counts: range, *, distinct: bool = False) -> _Check:
    def check_list(name: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) not in counts:
            least, most = counts[0], counts[-1]
            number = f"{least}" if least == most else f"{least} to {most}"
            raise ValueError(f"{name}: give a list of {number} entries")
        found = tuple(check(name, entry) for entry in value)
        if distinct and len(set(found)) < len(found):
            raise ValueError(f"{name}: an entry stands there twice")
        return found

    return check_list


def _polarity(name: str, value: Any) -> dict[Target, list[int]]:
    signs = _list_of(_number(-1, 1, whole=True), range(4, 5))
    if not isinstance(value, dict):
        raise ValueError(f"{name}: give four signs for each target")
    found = {target: list(signs(f"{name} of {target}", four)) for target, four in value.items()}
    for target, four in found.items():
        if 0 in four:
            raise ValueError(f"{name} of {target}: give 1 or -1")
    return found


def _normalisation(name: str, value: Any) -> Normalisation:
    percentile, clip = _number(0, 100), _number(-1000, 1000)
    checks = {
        "low_percentile": percentile,
        "high_percentile": percentile,
        "clip_low": clip,
        "clip_high": clip,
    }
    if not isinstance(value, dict) or not set(value) <= set(checks):
        raise ValueError(f"{name}: give {', '.join(checks)}")
    found = Normalisation(**{k: checks[k](f"{name} {k}", v) for k, v in value.items()})
    if found.low_percentile >= found.high_percentile or found.clip_low >= found.clip_high:
        raise ValueError(f"{name}: a lower bound must be less than its upper one")
    return found


def _segmenter(name: str, value: Any) -> SegmenterDesign | None:
    checks = {
        "architecture": _choice,
        "neighbours": _number(0, 3, whole=True),
        "neighbour_mm": _number(0.5, 10),
        "mirror": _flag,
        "share": _number(0, 1),
    }
    if not isinstance(value, dict) or not set(value) <= set(checks):
        raise ValueError(f"{name}: give {', '.join(checks)}")
    return SegmenterDesign(**{k: checks[k](f"{name} {k}", v) for k, v in value.items()})


def _measured(name: str, value: Any) -> TrustFigures:
    part = _number(0, 1)
    patients = _number(1, 1e6, whole=True)(f"{name} patients", value["patients"])
    tenth = _list_of(part, range(3, 4))(f"{name} error_in_tenth", value["error_in_tenth"])
    checks = {
        "volume_in_range": _number(0, patients, whole=True),
        "temperature": _number(0.1, 10),
        "ece": part,
        "ece_at_temperature": part,
    }
    if set(value) != {"patients", "error_in_tenth", *checks}:
        raise ValueError(f"{name}: give patients, error_in_tenth, {', '.join(checks)}")
    by_target: dict[str, Any] = {
        key: {t: check(f"{name} {key} of {t}", value[key][t]) for t in TARGETS}
        for key, check in checks.items()
    }
    return TrustFigures(int(patients), tenth, **by_target)


def _free_form(name: str, value: Any, depth: int = 0) -> dict[str, Any]:
    """Return a table as it is, unless it is nested deeper than one that we write."""
    if depth > _DEEPEST or (depth == 0 and not isinstance(value, dict)):
        raise ValueError(f"{name}: give a table, nested at most {_DEEPEST} deep")
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, (dict, list)):
            _free_form(name, part, depth + 1)
    found: dict[str, Any] = value
    return found


_modalities = _list_of(lambda name, value: Modality(value), range(1, 5), distinct=True)
_choice = _text(40)  # one of a few words; `Design` knows them
#: Type and range of every entry of a description, for `_checked`.
_FIELDS: dict[str, _Check] = {
    "name": _text(200),
    "origin": _text(2000),
    "licence": _text(200),
    "modalities": _modalities,
    "optional_modalities": _list_of(lambda name, value: Modality(value), range(5), distinct=True),
    "pixel_mm": _number(0.25, 10),
    "polarity": _polarity,
    "across_slices_mm": _number(0, 50),
    "tumour_threshold": _number(0, 1),
    "class_threshold": _number(0, 1),
    "gate_probability": _number(0, 1),
    "normalisation": _normalisation,
    "segmenter": _segmenter,
    "measured": _measured,
    "training": _free_form,
    "targets": _list_of(_text(40), range(1, 4), distinct=True),
    "backbone": _choice,
    "attention_stride": _number(1, 2, whole=True),
    "exits": _list_of(_number(1, 4, whole=True), range(1, 5), distinct=True),
    "image_exits": _list_of(_number(1, 4, whole=True), range(1, 5), distinct=True),
    "width": _number(1, 512, whole=True),
    "strides": _list_of(_number(1, 32, whole=True), range(4, 5)),
    "norm": _choice,
    "pooling": _choice,
    "map_range": _choice,
    "attention": _choice,
    "guidance": _choice,
    "sharing": _flag,
    "times_tumour": _flag,
    "final_map": _choice,
}
