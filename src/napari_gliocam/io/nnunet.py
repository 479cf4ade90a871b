"""The layout of nnU-Net: a 3-D file for each channel, its number at the end of the name.

``imagesTr/P01_0000.nii.gz`` holds the first channel; ``dataset.json`` above says which modality
that is, under ``channel_names`` (or ``modality``, as it was called before).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_gliocam.case import Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.io import msd
from napari_gliocam.io.naming import Role, parse_name, stem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NUMBERED = re.compile(r"(.+)_(\d{4})")


@dataclass(frozen=True)
class NumberedCase:
    """A case of numbered channels.

    Parameters
    ----------
    name : str
        Name that a reader sees.
    channels : tuple of Path
        In the order of their numbers.
    numbers : tuple of int
        Channel numbers that the files have.
    labels : Path or None
        The file of the same name in ``labelsTr``.
    """

    name: str
    channels: tuple[Path, ...]
    numbers: tuple[int, ...]
    labels: Path | None = None

    def modalities(self) -> tuple[dict[Modality, Path], str | None]:
        """Return the modality of each channel, or a sentence on why it is not known."""
        listed = ", ".join(path.name for path in self.channels)
        try:
            order = msd.described_order(self.channels[0])
        except CaseError as error:
            return {}, str(error)
        if order is None:
            return {}, (
                f"Channels are numbered in {listed}, and no dataset.json says what they are; put "
                "it beside the folder, or name each file with --flair, --t1ce, --t2 and --t1."
            )
        if self.numbers != tuple(range(len(order))):
            return {}, (
                f"{self.name} has the files {listed}, where dataset.json lists {len(order)} "
                "channels; add the missing file, or correct dataset.json."
            )
        found = dict(zip(order, self.channels, strict=True))
        return {modality: found[modality] for modality in Modality if modality in found}, None


def cases_in(niftis: Sequence[Path]) -> list[NumberedCase]:
    """Find the cases of numbered channels among the files of one folder.

    Names are numbered where the number 0000 is among them and a ``dataset.json`` is there; without
    it, where there are several numbers and the names tell no role.
    """
    numbered: dict[str, dict[int, Path]] = {}
    described = bool(niftis) and msd.description_of(niftis[0]) is not None
    for path in niftis:
        told = _NUMBERED.fullmatch(stem(path.name))
        if told and (described or parse_name(path.name).role is Role.UNKNOWN):
            numbered.setdefault(told.group(1), {})[int(told.group(2))] = path
    return [
        NumberedCase(
            name, tuple(files[n] for n in sorted(files)), tuple(sorted(files)), _labels(files[0])
        )
        for name, files in numbered.items()
        if 0 in files and (described or len(files) > 1)
    ]


def channels_of(labels: Path) -> tuple[Path, ...]:
    """Find the channels of a label file in ``labelsTr``."""
    for folder in ("imagestr", "imagests"):
        for candidate in labels.absolute().parent.parent.iterdir():
            if candidate.name.lower() == folder and candidate.is_dir():
                wanted = f"{stem(labels.name)}_0000"
                found = [p for p in candidate.iterdir() if stem(p.name) == wanted]
                if found:
                    return tuple(found)
    return ()


def _labels(first: Path) -> Path | None:
    told = _NUMBERED.fullmatch(stem(first.name))
    assert told is not None
    name = told.group(1) + first.name[len(stem(first.name)) :]
    return msd.labels_of(first.with_name(name))
