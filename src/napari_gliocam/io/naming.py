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


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MODALITY_WORDS = {
    Modality.FLAIR: _words("flair fla t2f t2flair flairt2"),
    Modality.T1CE: _words(
        "t1ce t1c t1gd t1gad t1gado t1post t1km t1wce t1wc t1wgd t1wpost t1contrast t1enhanced "
        "cet1 cet1w t1+ t1c+ t1+c t1w+ t1w+c t1+gd"
    ),
    Modality.T1: _words("t1 t1n t1w t1native t1pre"),
    Modality.T2: _words("t2 t2w"),
}
_MODALITY = {word: modality for modality, words in _MODALITY_WORDS.items() for word in words}

# Beside T1 they make it T1ce; "post" only after it, for before it may mean after surgery.
_CONTRAST_BEFORE = _words("ce gd gad gado gadolinium contrast postcontrast")
_CONTRAST_AFTER = _CONTRAST_BEFORE | _words("c c+ post km enhanced")
# Elsewhere in a name with T1 they leave it open which of the two it is.
_CONTRAST = _CONTRAST_AFTER - {"c"}
_NATIVE_AFTER = _words("n native pre")

_LABELS = _words("seg segm segmentation label labels mask gt groundtruth truth")
_LABELS_PREFIX = _words("tumor tumour ground") | _LABELS
# Before a word for labels: they outline something else than the lesion.
_NO_LESION = _words("brain skull head tissue bet")

# After a modality: the image was made from it and is another one.
_DERIVED = _words("map star diff difference subtraction subtracted warp prob probability to")
# After a modality or labels: processing and acquisition, no part of the case's name.
_PROCESSING = _words(
    "bet brain stripped skullstripped reg registered coreg coregistered n4 bias biascorrected "
    "norm normalized normalised resampled iso 1mm mni sri sri24 pp preprocessed w weighted "
    "ax axial tra transversal sag sagittal cor coronal 2d 3d mprage spgr tse fse se space"
)
_TARGETS = _words("tumour core edema")

_WORD = re.compile(r"(?:[^\W_]|[+*])+")
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')


def is_nifti(name: str) -> bool:
    """Whether a file name ends as a NIfTI's does; hidden files are none."""
    return not name.startswith(".") and name.lower().endswith(NIFTI_SUFFIXES)


def stem(name: str) -> str:
    """Take ``.nii`` or ``.nii.gz`` off a file name."""
    for suffix in NIFTI_SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def safe_name(name: str) -> str:
    """Make a name fit for a file name: what some system forbids in one becomes ``_``."""
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
    span = _labels(lower)
    if span is not None and not found:
        return FileName(_around(whole, words, span), Role.LABELS)
    if span is not None or len({modality for modality, _ in found}) != 1:
        return unknown
    modality, span = found[-1]
    if _DERIVED & set(lower[span.stop :]) or _LABELS & set(lower):
        return unknown
    if modality is Modality.T1 and _CONTRAST & set(lower):
        return unknown
    return FileName(_around(whole, words, span), Role.MODALITY, modality)


def _labels(words: list[str]) -> slice | None:
    """Find the words that name labels: at the beginning, or at the end but for processing."""
    last = len(words)
    while last and words[last - 1] in _PROCESSING:
        last -= 1
    for at in (last - 1, 0):
        if words[at : at + 1] and words[at] in _LABELS:
            start = at
            while start and words[start - 1] in _LABELS_PREFIX:
                start -= 1
            if start and words[start - 1] in _NO_LESION:
                return None
            return slice(start, at + 1)
    return None


def _modalities(words: list[str]) -> list[tuple[Modality, slice]]:
    """Find each modality that is named, with the words that name it."""
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
                modality = Modality.T1CE
                while start and words[start - 1] in _CONTRAST_BEFORE:
                    start -= 1
            elif following in _NATIVE_AFTER:
                stop += 1
        elif modality is Modality.T2 and following == "flair":
            modality, stop = Modality.FLAIR, stop + 1
        found.append((modality, slice(start, stop)))
        index = stop
    return found


def _around(whole: str, words: list[re.Match[str]], span: slice) -> str:
    """Take the words of ``span`` and the processing that follows them out of the stem."""
    start, stop, _ = span.indices(len(words))
    before = whole[: words[start].start()]
    rest = [word for word in words[stop:] if word.group().lower() not in _PROCESSING]
    if not rest:
        return _trim(before)
    after = whole[rest[0].start() : rest[-1].end()]
    return "_".join(part for part in (_trim(before), after) if part)


def _trim(text: str) -> str:
    return text.rstrip(" _-.")
