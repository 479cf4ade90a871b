"""What a user can set for a segmentation; written beside every result."""

from __future__ import annotations

from dataclasses import dataclass

from napari_gliocam.errors import GliocamError

#: Smaller parts of a tumour are no lesions of their own, in ml: a ball of 5.8 mm.
MIN_LESION_ML = 0.1


@dataclass(frozen=True)
class Thresholds:
    """Choices that turn maps into labels; no network runs again when they change.

    Parameters
    ----------
    tumour_threshold : float
        A voxel is tumour where the tumour map exceeds this, in [0, 1]; 0.40 in paper 1, section 3.
    class_threshold : float
        A tumour voxel may be core or edema where that class map exceeds this, in [0, 1];
        0.50 in paper 1, section 3.
    exclusive : bool
        True: a voxel that both classes claim goes to the one with the higher map.
        False: it is kept as claimed by both.
    gate : bool
        True: a class is only found on slices where its image-level probability is at least
        ``gate_probability``.
    gate_probability : float
        In [0, 1].
    """

    tumour_threshold: float = 0.40
    class_threshold: float = 0.50
    exclusive: bool = True
    gate: bool = True
    gate_probability: float = 0.50

    def __post_init__(self) -> None:
        for name in ("tumour_threshold", "class_threshold", "gate_probability"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                title = name.replace("_", " ")
                raise GliocamError(f"The {title} is {value:g}; choose a value between 0 and 1.")
