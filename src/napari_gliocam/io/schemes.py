"""Label schemes: what the numbers in an expert's file mean, in core and edema.

Core is the tumour without the edema: necrosis, non-enhancing and enhancing tumour.  The
values alone do not always tell the scheme, so what is known about the file helps; what stays
in doubt is said (`doubt`) and can be changed by the user.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gliocam.errors import CaseError
from napari_gliocam.targets import CORE, EDEMA, TUMOUR
from napari_gliocam.wording import no_such

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelScheme:
    """The meaning of the values of a label file; 0 is the background in each.

    Parameters
    ----------
    name : str
        What the scheme is called in settings and on the command line.
    title : str
        What a user reads.
    core, edema : frozenset of int
        The values of each class; a value in both is claimed by both.
    other : frozenset of int
        Values that are known and neither class, such as a resection cavity.
    undivided : frozenset of int
        Values of tumour that is not divided into classes.
    """

    name: str
    title: str
    core: frozenset[int]
    edema: frozenset[int]
    other: frozenset[int] = frozenset()
    undivided: frozenset[int] = frozenset()

    @property
    def values(self) -> frozenset[int]:
        """Every value that may occur, without 0."""
        return self.core | self.edema | self.other | self.undivided

    def class_of(self, value: int) -> int:
        """0 background, 1 core, 2 edema, 3 both, 4 tumour that is not divided."""
        if value in self.undivided:
            return TUMOUR
        return CORE * (value in self.core) + EDEMA * (value in self.edema)


BRATS = LabelScheme(
    "brats",
    "BraTS until 2021: 1 necrosis, 2 edema, 4 enhancing tumour",
    core=frozenset({1, 4}),
    edema=frozenset({2}),
)
BRATS_2023 = LabelScheme(
    "brats-2023",
    "BraTS 2023 and later: 1 necrosis, 2 edema, 3 enhancing tumour, 4 resection cavity",
    core=frozenset({1, 3}),
    edema=frozenset({2}),
    other=frozenset({4}),
)
MSD = LabelScheme(
    "msd",
    "Medical Segmentation Decathlon: 1 edema, 2 non-enhancing tumour, 3 enhancing tumour",
    core=frozenset({2, 3}),
    edema=frozenset({1}),
)
GLIOCAM = LabelScheme(
    "gliocam",
    "napari-gliocam: 1 core, 2 edema, 3 core and edema",
    core=frozenset({1, 3}),
    edema=frozenset({2, 3}),
)
GLIOCAM_TUMOUR = LabelScheme(
    "gliocam-tumour",
    "napari-gliocam, the tumour alone: 4 tumour that is not divided",
    core=frozenset(),
    edema=frozenset(),
    undivided=frozenset({TUMOUR}),
)

#: Every scheme by its name.
SCHEMES: Mapping[str, LabelScheme] = MappingProxyType(
    {scheme.name: scheme for scheme in (BRATS, BRATS_2023, MSD, GLIOCAM, GLIOCAM_TUMOUR)}
)

#: Those of results of this program, which may be written over.
OWN_SCHEMES = (GLIOCAM.name, GLIOCAM_TUMOUR.name)

#: Labels that went through a program as floats are off by less.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Hints:
    """Facts about a label file besides its values.

    Parameters
    ----------
    case_name : str
        Tells a BraTS case.
    msd : bool
        The file lies in the layout of the Medical Segmentation Decathlon.
    own : bool
        This program wrote the file.
    edited : bool
        The json beside it is of a result that was saved under its name and changed since.
    """

    case_name: str = ""
    msd: bool = False
    own: bool = False
    edited: bool = False


def get_scheme(name: str) -> LabelScheme:
    """Look up a scheme by its name.

    Raises
    ------
    CaseError
        There is none; the message lists those there are.
    """
    try:
        return SCHEMES[name]
    except KeyError:
        raise CaseError(no_such(name, SCHEMES, "label scheme")) from None


def detect_scheme(values: Iterable[float], *, hints: Hints | None = None) -> LabelScheme:
    """Tell the scheme from the values that occur and from what is known about the file.

    Parameters
    ----------
    values : iterable of int
        The values that occur; 0 may be among them.
    hints : Hints, optional
        Decide where the values fit several schemes.

    Raises
    ------
    CaseError
        No scheme has all these values.
    """
    hints = hints or Hints()
    present = set(values) - {0}
    for scheme in (GLIOCAM, GLIOCAM_TUMOUR):
        if (hints.own or hints.edited) and present <= scheme.values:
            return scheme
    if hints.msd and present <= MSD.values:
        return MSD
    # 1 and 2 mean the same in both BraTS schemes; the older is named unless a 3 occurs.
    for scheme in (BRATS, BRATS_2023):
        if present <= scheme.values:
            return scheme
    raise CaseError(_strange(present, "any label scheme"))


def doubt(
    scheme: LabelScheme, values: Iterable[float], *, hints: Hints | None = None
) -> str | None:
    """Return what the values could mean instead, as half a sentence; None where they are sure."""
    hints = hints or Hints()
    present = set(values) - {0}
    name = hints.case_name.casefold()
    if not present or hints.msd:
        return None
    if scheme is BRATS and 4 in present:
        # BraTS 2024 (post-treatment) uses the same names as 2023, and 4 for the cavity.
        if "brats-gli" in name:
            return "4 may be a resection cavity"
        ours = hints.own or hints.edited or present == {4}
        return "4 may be tumour that is not divided" if ours else None
    if hints.own:
        return None
    if "brats" in name or len([s for s in SCHEMES.values() if present <= s.values]) == 1:
        return None
    return "other schemes have the same values"


def label_values(raw: NDArray[Any]) -> NDArray[Any]:
    """List the values of a label file, sorted, without 0."""
    return np.unique(raw[raw != 0])


def whole_numbers(raw: NDArray[Any]) -> NDArray[Any]:
    """Round values that are whole but for a rounding error; leave others as they are."""
    if raw.dtype.kind != "f":
        return raw
    rounded: NDArray[Any] = np.rint(raw)
    with np.errstate(invalid="ignore"):
        close = np.abs(raw - rounded).max(initial=0.0) <= _ROUNDING
    return rounded if close else raw


def apply_scheme(raw: NDArray[Any], scheme: LabelScheme) -> NDArray[np.uint8]:
    """Turn the values of a label file into the classes of this project.

    Parameters
    ----------
    raw : ndarray
        Values as in the file, any real dtype.
    scheme : LabelScheme
        The meaning of the stored values.

    Returns
    -------
    ndarray of uint8
        0 background, 1 core, 2 edema; in the own scheme also 3 claimed by both, 4 tumour that is
        not divided.

    Raises
    ------
    CaseError
        A value is not in the scheme; the message lists them.
    """
    labels = np.zeros(raw.shape, dtype=np.uint8)
    inside = np.flatnonzero(raw)  # lesions are small: everything below works on them alone
    values, inverse = np.unique(raw.ravel()[inside], return_inverse=True)
    strange = set(values.tolist()) - scheme.values
    if strange:
        raise CaseError(_strange(strange, f"the label scheme {scheme.name!r}"))
    classes = np.array([scheme.class_of(int(value)) for value in values], dtype=np.uint8)
    labels.ravel()[inside] = classes[inverse] if classes.size else 0
    return labels


def _strange(values: Iterable[float], where: str) -> str:
    ordered = sorted(values)
    listed = ", ".join(f"{value:g}" for value in ordered[:8]) + (", …" if len(ordered) > 8 else "")
    return (
        f"The label values {listed} are not in {where}; "
        f"choose the label scheme of this file ({', '.join(SCHEMES)})."
    )
