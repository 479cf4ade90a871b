"""What a file name says: the case it belongs to and what it shows.

Every naming in use is read with one rule.  The name is split into words; a word or a pair of
words names a modality or labels; what stands around them, less the words of processing, names
the case.  A name that says two things says nothing: it is unknown, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from napari_gliocam.case import Modality

#: What a NIfTI file is called, in any case of letters.
NIFTI_SUFFIXES = (".nii.gz", ".nii")


class Role(StrEnum):
    """What a file is for."""

    MODALITY = "modality"
    LABELS = "labels"
    MAP = "map"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class FileName:
    """What a file name tells.

    Parameters
    ----------
    case : str
        The name of the case; empty where the name is the modality alone (``flair.nii.gz``),
        the whole stem where the role is unknown.
    role : Role
    modality : Modality or None
        Set where the role is `Role.MODALITY`, and only there.
    """

    case: str
    role: Role
    modality: Modality | None = None


_MODALITY_WORDS = {
    Modality.FLAIR: "flair fla t2f t2flair flairt2",
    Modality.T1CE: (
        "t1ce t1c t1gd t1gad t1gado t1post t1km t1wce t1wc t1contrast t1wpost t1wgd cet1 cet1w "
        "t1+ t1c+ t1+c t1w+ t1w+c t1+gd t1enhanced"
    ),
    Modality.T1: "t1 t1n t1w t1native t1pre",
    Modality.T2: "t2 t2w",
}
_MODALITY = {
    word: modality for modality, words in _MODALITY_WORDS.items() for word in words.split()
}
_LABELS = frozenset("seg segm segmentation label labels mask gt groundtruth truth".split())

# After T1 they make it T1ce at once; "post" before T1 may be a date after surgery.
_CONTRAST_AFTER = frozenset(
    "ce c c+ gd gad gado gadolinium post contrast postcontrast km enhanced".split()
)
_CONTRAST_BEFORE = frozenset("ce gd gad gado gadolinium contrast postcontrast".split())
_CONTRAST = (_CONTRAST_AFTER | _CONTRAST_BEFORE) - {"c"}
_NATIVE_AFTER = frozenset("n native pre".split())

# An image with one of these words is derived from a modality, or shows no lesion.
_DERIVED = frozenset(
    "map mask brain brainmask skull star diff difference subtraction subtracted warp prob "
    "probability to".split()
)
# Words of processing and acquisition that follow the modality and are no part of the case.
_PROCESSING = frozenset(
    "bet brain stripped skullstripped reg registered coreg coregistered n4 bias biascorrected "
    "norm normalized normalised resampled iso 1mm mni sri sri24 pp preprocessed w weighted "
    "ax axial tra transversal sag sagittal cor coronal 2d 3d mprage spgr tse fse se space".split()
)
_TARGETS = frozenset(("tumour", "core", "edema"))

_WORD = re.compile(r"(?:[^\W_]|[+*])+")
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')


def is_nifti(name: str) -> bool:
    """Whether a file name ends as a NIfTI's does; hidden files are none."""
    return not name.startswith(".") and name.lower().endswith(NIFTI_SUFFIXES)


def stem(name: str) -> str:
    """A file name without ``.nii`` or ``.nii.gz``."""
    for suffix in NIFTI_SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def safe_name(name: str) -> str:
    """A case's name as part of a file name: what no system allows in one becomes ``_``."""
    return _FORBIDDEN.sub("_", name).strip(" .") or "case"


def parse_name(name: str) -> FileName:
    """Tell case and role from a file name.

    Parameters
    ----------
    name : str
        A file name without its folder, with or without the suffix.

    Returns
    -------
    FileName

    Examples
    --------
    >>> parse_name("BraTS-GLI-00000-000-t2f.nii.gz")
    FileName(case='BraTS-GLI-00000-000', role=<Role.MODALITY: 'modality'>, \
modality=<Modality.FLAIR: 'flair'>)
    """
    whole = stem(name)
    unknown = FileName(whole, Role.UNKNOWN)
    words = list(_WORD.finditer(whole))
    lower = [word.group().lower() for word in words]
    if lower[-1:] == ["map"] and lower[-2:-1] and lower[-2] in _TARGETS:
        return FileName(_around(whole, words, slice(len(words) - 2, None)), Role.MAP)

    found = _modalities(lower)
    labels = [index for index, word in enumerate(lower) if word in _LABELS]
    if found and labels or not (found or labels):
        return unknown
    if labels:
        # "brain_mask" outlines the brain; "labels" in the middle may be part of a case's name.
        at = labels[-1]
        named_at_end = at == len(lower) - 1 or at == 0
        if _DERIVED - {"mask"} & set(lower) or not named_at_end:
            return unknown
        start = at
        while start and lower[start - 1] in {"tumor", "tumour", "ground", *_LABELS}:
            start -= 1
        return FileName(_around(whole, words, slice(start, at + 1)), Role.LABELS)

    modalities = {modality for modality, _ in found}
    span = found[-1][1]
    after = set(lower[span.stop :])
    if len(modalities) > 1 or (_DERIVED & after) - {"brain"}:
        return unknown
    (modality,) = modalities
    if modality is Modality.T1 and _CONTRAST & set(lower):
        return unknown
    return FileName(_around(whole, words, span), Role.MODALITY, modality)


def _modalities(words: list[str]) -> list[tuple[Modality, slice]]:
    """Each modality that is named, with the words that name it."""
    found = []
    index = 0
    while index < len(words):
        modality = _MODALITY.get(words[index])
        start, stop = index, index + 1
        index += 1
        if modality is None:
            continue
        following = words[stop] if stop < len(words) else ""
        if modality is Modality.T1:
            if following in _CONTRAST_AFTER:
                modality, stop = Modality.T1CE, stop + 1
            elif start and words[start - 1] in _CONTRAST_BEFORE:
                modality, start = Modality.T1CE, start - 1
            elif following in _NATIVE_AFTER:
                stop += 1
        elif modality is Modality.T2 and following == "flair":
            modality, stop = Modality.FLAIR, stop + 1
        found.append((modality, slice(start, stop)))
        index = stop
    return found


def _around(whole: str, words: list[re.Match[str]], span: slice) -> str:
    """The stem without the words of ``span`` and without the processing that follows them."""
    start, stop, _ = span.indices(len(words))
    before = whole[: words[start].start()]
    rest = [word for word in words[stop:] if word.group().lower() not in _PROCESSING]
    if not rest:
        return _trim(before)
    after = whole[rest[0].start() : rest[-1].end()]
    return "_".join(part for part in (_trim(before), after) if part)


def _trim(text: str) -> str:
    return text.rstrip(" _-.")
