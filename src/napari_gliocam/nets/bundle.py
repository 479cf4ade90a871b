"""A bundle: weights (safetensors) with all that is needed to use them (json).

Nothing is ever unpickled from a file a user picks, and nothing is downloaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gliocam.case import Modality
from napari_gliocam.errors import BundleError
from napari_gliocam.nets.design import DEFAULT_STRIDES, Design
from napari_gliocam.slices import Normalisation
from napari_gliocam.targets import TARGETS, Target

if TYPE_CHECKING:
    from napari_gliocam.nets.gliocam import GliocamNet

WEIGHTS_FILE = "bundle.safetensors"
INFO_FILE = "bundle.json"
#: Changes when a bundle of before can no longer be read.
FORMAT = 1


@dataclass(frozen=True)
class BundleInfo(Design):
    """What a bundle says of itself, and how its networks are built (see `Design`).

    Parameters
    ----------
    name : str
    origin : str
        Where the weights come from, one line.
    licence : str
        SPDX name.
    modalities : tuple of Modality
        The networks' channels in order.
    optional_modalities : tuple of Modality
        Those it was trained to do without.
    pixel_mm : float
        In-plane pixel of a network slice.
    polarity : dict of str to list of int
        For tumour, core, edema: per exit 1 where high means lesion, -1 where the network
        learned it the other way round.
    across_slices_mm : float
        How far the maps are averaged over neighbouring slices, see
        `napari_gliocam.across_slices.smooth_across_slices`; 0: each slice by itself.
    tumour_threshold, class_threshold : float
        The paper's.
    normalisation : Normalisation
    training : dict
        Recipe, data, seed, hours, machine: free form, shown in the model card.
    path : Path or None
        The folder it was read from.
    """

    name: str
    origin: str
    licence: str
    modalities: tuple[Modality, ...] = (Modality.T1CE, Modality.T2, Modality.FLAIR)
    optional_modalities: tuple[Modality, ...] = ()
    pixel_mm: float = 1.5
    polarity: Mapping[Target, Sequence[int]] = field(
        default_factory=lambda: {t: [1, 1, 1, 1] for t in TARGETS}
    )
    across_slices_mm: float = 0.0
    tumour_threshold: float = 0.40
    class_threshold: float = 0.50
    normalisation: Normalisation = field(default_factory=Normalisation)
    training: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """All fields but the path, with plain values."""
        plain = asdict(self)
        plain.pop("path")
        return {"format": FORMAT, **plain}


@dataclass(frozen=True, eq=False)
class Bundle:
    """Networks in evaluation mode, and what they are.

    Parameters
    ----------
    info : BundleInfo
    net : GliocamNet
        float32, on the device that it ran on last.
    """

    info: BundleInfo
    net: GliocamNet


def bundled_path() -> Path:
    """Folder of the bundle that ships with the package."""
    return Path(str(files("napari_gliocam") / "weights" / "default"))


def read_bundle_info(path: str | Path | None = None) -> BundleInfo:
    """Read a bundle's json alone; torch is not needed.

    Parameters
    ----------
    path : str or Path, optional
        The bundle's folder; the one that ships with the package by default.

    Raises
    ------
    BundleError
        If it is missing, damaged, or of another kind.
    """
    folder = Path(path) if path is not None else bundled_path()
    file = folder / INFO_FILE
    if not file.is_file():
        raise BundleError(
            f'"{folder}" is no bundle: it holds no {INFO_FILE}; choose a folder that '
            "napari-gliocam wrote, or leave the bundle out to use the one that ships."
        )
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        if raw.pop("format") != FORMAT:
            raise BundleError(
                f'The bundle "{folder}" was written by another version of napari-gliocam; '
                "train or export it again with this one."
            )
        raw["modalities"] = tuple(Modality(m) for m in raw["modalities"])
        raw["optional_modalities"] = tuple(Modality(m) for m in raw["optional_modalities"])
        raw["strides"] = tuple(raw.get("strides", DEFAULT_STRIDES))
        raw["normalisation"] = Normalisation(**raw["normalisation"])
        return BundleInfo(**raw, path=folder)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise BundleError(
            f'"{file}" is damaged or not a bundle\'s description ({error}); '
            "copy the bundle again or choose another."
        ) from error


def load_bundle(path: str | Path | None = None) -> Bundle:
    """Load a bundle with its networks (imports torch).

    Parameters
    ----------
    path : str or Path, optional
        The bundle's folder; the one that ships with the package by default.

    Raises
    ------
    BundleError
        If it is missing, damaged, or its weights do not fit its description.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from napari_gliocam.nets.gliocam import GliocamNet

    info = read_bundle_info(path)
    assert info.path is not None
    file = info.path / WEIGHTS_FILE
    try:
        state = {k: v.float() if v.is_floating_point() else v for k, v in load_file(file).items()}
        net = GliocamNet.of(len(info.modalities), info.design, info.polarity)
        net.load_state_dict(state)
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BundleError(
            f'The weights "{file}" are missing, damaged or do not fit the bundle\'s description '
            f"({reason}); copy the bundle again or choose another."
        ) from error
    if not all(torch.isfinite(p).all() for p in net.parameters()):
        raise BundleError(
            f'The weights "{file}" hold values that are no numbers; copy the bundle again or '
            "choose another."
        )
    return Bundle(info, net.eval())


def save_bundle(net: GliocamNet, info: BundleInfo, folder: Path) -> None:
    """Write a bundle: fp16 weights and json.

    Parameters
    ----------
    net : GliocamNet
    info : BundleInfo
    folder : Path
        Made if it is missing.
    """
    import torch
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    state = {
        k: (v.to(torch.float16) if v.is_floating_point() else v).contiguous()
        for k, v in net.state_dict().items()
    }
    weights = save(state, {"name": info.name, "licence": info.licence})
    text = json.dumps(info.to_json(), indent=2, ensure_ascii=False) + "\n"
    for file, content in ((WEIGHTS_FILE, weights), (INFO_FILE, text.encode())):
        temporary = folder / f"{file}.tmp"
        temporary.write_bytes(content)
        temporary.replace(folder / file)
