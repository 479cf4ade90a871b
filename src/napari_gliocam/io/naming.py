"""Reading of file names: the case of a file and its role.

A name is split into words.  A word, or several beside each other, names a modality or labels;
words of processing and acquisition say nothing; the rest is the identifier (ID) of the case.  An
ID may itself hold words such as ``t1`` or ``seg``, so `parse_names` compares the names of one
folder: of several possible readings, the one whose ID occurs on other files of the folder counts,
else the last modality word of the name.  A name that can be read in two ways is unknown, never
guessed.
"""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from napari_gliocam.case import Modality

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

#: What a NIfTI file is called, in any case of letters.
NIFTI_SUFFIXES = (".nii.gz", ".nii")
#: Bytes of a case's name in file names.
_LONGEST_NAME = 150
#: Stands before ``seg`` in the names of results, so that they are never taken for expert labels.
RESULT_WORD = "gliocam"


class Role(StrEnum):
    """The role of a file."""

    MODALITY = "modality"
    LABELS = "labels"
    #: Labels that this program wrote, by their name.
    RESULT = "result"
    #: A map that this program wrote, by its name.
    MAP = "map"
    #: Known to be none of these: a brain mask, an ADC map, tissue classes.
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class FileName:
    """The case and role that a file name states.

    Parameters
    ----------
    case : str
        The name of the case; empty where the name is the modality alone (``flair.nii.gz``),
        the whole stem where the role is unknown or other.
    role : Role
        What the file shows: a modality, labels, a map.
    modality : Modality or None
        Set where the role is `Role.MODALITY`, and only there.
    before, after : tuple of str
        The ID's words before and after those that name the role, in lower case.
    """

    case: str
    role: Role
    modality: Modality | None = None
    before: tuple[str, ...] = field(default=(), repr=False, compare=False)
    after: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def id(self) -> tuple[str, ...]:
        """The words of the case's name, which do not depend on separators and letter case."""
        return self.before + self.after


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MODALITY_WORDS = {
    Modality.FLAIR: _words("flair fla fl t2f t2flair flairt2 t2wflair darkfluid"),
    Modality.T1CE: _words(
        "t1ce t1c t1gd t1gad t1gado t1post t1km t1wce t1wc t1wgd t1wpost t1contrast t1enhanced "
        "t1postcontrast t1postgd t1wpostcontrast cet1 cet1w ct1 ct1w gdt1 gdt1w t1+ t1c+ t1+c t1w+ "
        "t1w+c t1+gd t1w+gd"
    ),
    Modality.T1: _words("t1 t1n t1w t1wi t1native t1pre t1pregd t1nat"),
    Modality.T2: _words("t2 t2w t2wi"),
}
_T1_WORDS = _MODALITY_WORDS[Modality.T1]
_MODALITY = {word: modality for modality, words in _MODALITY_WORDS.items() for word in words}

_AGENTS = _words("gd gad gado gadolinium gadovist dotarem magnevist km contrast kontrast")
# Beside T1 they make it T1ce; "post" only after it, for before it may mean after surgery.
_CONTRAST_BEFORE = _AGENTS | _words("ce postcontrast postgd enhanced")
_CONTRAST_AFTER = _CONTRAST_BEFORE | _words("c c+ + +c post")
# Elsewhere in a name with T1 they leave it open which of the two it is.
_CONTRAST = _CONTRAST_AFTER - {"c"}
_NEGATION = _words("no non not without wo pre sans ohne")
_NATIVE_AFTER = _words("n native nat nativ pre precontrast noncontrast plain")

_LABELS = _words(
    "seg segm segmentation label labels mask gt groundtruth truth tumormask tumourmask lesionmask "
    "braintumormask tumorseg glistrboost"
)
_LABELS_PREFIX = _words("tumor tumour ground lesion manual expert") | _LABELS
_LABELS_SUFFIX = _words("manual manuallycorrected corrected final expert")
# Before a word for labels: they outline something else than the lesion.
_NO_LESION = _words("brain skull head tissue bet roi hdbet synthstrip")
# As the last word: an image that is none of the four, or a mask that is not of the lesion.
_OTHER = _words(
    "brainmask tissue gm wm csf pve aseg aparc parcellation adc dwi dti swi swan qsm perf "
    "perfusion dsc dce asl cbf cbv rcbv rcbf mtt tmax ttp fa md tof mra pet fet ct bold fmri pd "
    "pdw t2* t2star t1map t2map t1sub b0 b1000 trace ktrans probseg"
)

# After a modality: the image was made from it and is another one.
_DERIVED = _words("map star diff difference subtraction subtracted warp prob probability minus")
# How the image was acquired.
_ACQUISITION = _words(
    "ax axial tra trans transversal transverse sag sagittal cor coronal 2d 3d iso w weighted wi "
    "mprage mpr spgr fspgr bravo vibe tse fse se gre space spc fs fatsat mri image img vol "
    "orig original"
)
# Inversion recovery beside T2 is FLAIR or STIR: "dark fluid" tells.
_INVERSION = _words("tirm ir stir")
_PROCESSING = _ACQUISITION | _words(
    "bet brain stripped skullstripped ss strip masked cropped crop reg registered coreg "
    "coregistered aligned warped reg2 r2s n4 n4itk n4corrected biascorrected bias biasfield "
    "corrected corr restore denoised norm normed normalized normalised zscore zscored resampled "
    "resliced resample iso 1mm 1mm3 mni mni152 sri sri24 atlas rai raw lps ras las pp preproc "
    "preprocessed processed hdbet synthstrip robex fast acpc"
)
# What follows is the space or the image that it was registered to.
_TARGET_MARKS = _words("to onto")
_REGISTRATION = _words("reg registered coreg coregistered aligned warped")
_PAIRS = {("dark", "fluid"), ("da", "fl")}
_SESSION_MARKS = _words("ses session visit timepoint tp")
_TARGETS = _words("tumour core edema")

_WORD = re.compile(r"(?:[^\W_]|[+*])+")
_BIDS = re.compile(r"(sub-[^\W_]+)((?:_[A-Za-z]+-[^_]+)*)_(?P<suffix>[^-]+)", re.IGNORECASE)
_NO_AGENT = _words("none no native pre")
_ENTITY = re.compile(r"_([A-Za-z]+)-([^_]+)")
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')


def is_nifti(name: str) -> bool:
    """Return True if a file name ends as a NIfTI's does; hidden files are none."""
    return not name.startswith(".") and name.lower().endswith(NIFTI_SUFFIXES)


def stem(name: str) -> str:
    """Take ``.nii`` and ``.nii.gz`` off a file name, as often as they are there."""
    for suffix in NIFTI_SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return stem(name[: -len(suffix)])
    return name


def safe_name(name: str) -> str:
    """Make a name fit for a file name.

    Characters that a system forbids, or that its encoding lacks, become ``_``; a long name is cut
    and gets a checksum, so that endings such as ``_tumour_map.nii.gz`` still fit.
    """
    encoding = sys.getfilesystemencoding()
    known = readable(name).encode(encoding, "replace").decode(encoding)
    safe = _FORBIDDEN.sub("_", known).strip(" .") or "case"
    raw = safe.encode()
    if len(raw) <= _LONGEST_NAME:
        return safe
    kept = raw[: _LONGEST_NAME - 9].decode("utf-8", "ignore").rstrip(" .")
    return f"{kept}~{hashlib.sha256(raw).hexdigest()[:8]}"


def dicom_names(case: str, series: str) -> tuple[str, str]:
    """Return the names of the DICOM segmentation and report that a case gets on a series."""
    segmentation = f"{safe_name(case)}_{series}_seg.dcm"
    return segmentation, dicom_report_name(segmentation)


def dicom_report_name(segmentation: str) -> str:
    """Return the name of the DICOM report beside a DICOM segmentation ``NAME_seg.dcm``."""
    name = segmentation[:-4] if segmentation.lower().endswith(".dcm") else segmentation
    return f"{name.removesuffix('_seg')}_report.dcm"


def name_on(case: str, series: str) -> str:
    """Return what a case is called in names of results on the grid of one of its series."""
    return f"{case}_on_{series}"


def labels_name_on(case: str, series: str) -> str:
    """Return the name of the labels of a case on the grid of one of its series."""
    return f"{safe_name(name_on(case, series))}_{RESULT_WORD}_seg.nii.gz"


def map_name(case: str, target: str) -> str:
    """Return the name of the file that the map of a target is saved in."""
    return f"{safe_name(case)}_{target}_map.nii.gz"


def readable(text: str) -> str:
    """Replace the parts of a file name that are no valid UTF-8, so that it can be printed."""
    return text.encode("utf-8", "replace").decode("utf-8")


def parse_name(name: str) -> FileName:
    """Tell case and role from one file name, with or without its suffix.

    Examples
    --------
    >>> parse_name("BraTS-GLI-00000-000-t2f.nii.gz")
    FileName(case='BraTS-GLI-00000-000', role=<Role.MODALITY: 'modality'>, \
modality=<Modality.FLAIR: 'flair'>)
    """
    return parse_names([name])[0]


def parse_names(names: Iterable[str]) -> list[FileName]:
    """Tell case and role of the files of one folder, comparing their IDs.

    Parameters
    ----------
    names : iterable of str
        File names without their folder.

    Returns
    -------
    list of FileName
        In the order of ``names``.
    """
    every = [_Name.of(stem(name)) for name in names]
    shown: dict[tuple[str, ...], set[Modality | Role]] = defaultdict(set)
    for name in every:
        for _, told in name.readings:
            shown[told.id].add(told.modality or told.role)
    return [name.choose(shown) for name in every]


@dataclass(frozen=True)
class _Token:
    """A word of a name.

    Parameters
    ----------
    text : str
        In lower case, composed (NFC).
    start, stop : int
        Where it stands in the name.
    names : bool
        Whether it may name a role; the labels of a subject or a session name none.
    """

    text: str
    start: int
    stop: int
    names: bool = True


@dataclass(frozen=True)
class _Span:
    """Words that name a role.

    Parameters
    ----------
    start, stop : int
        The first token and one after the last.
    modality : Modality or None
        None for labels.
    sure : bool
        Whether the name alone is enough; else another file must have the same ID.
    """

    start: int
    stop: int
    modality: Modality | None = None
    sure: bool = True


@dataclass(frozen=True)
class _Name:
    """A stem with every way to read it, the last words first, and its role where none holds."""

    whole: str
    readings: tuple[tuple[bool, FileName], ...]
    otherwise: Role

    @classmethod
    def of(cls, whole: str) -> _Name:
        """Split a stem into words and list the readings."""
        tokens = _tokens(whole)
        lower = [token.text if token.names else "" for token in tokens]
        if lower[-1:] == ["map"] and lower[-2:-1] and lower[-2] in _TARGETS:
            end = _Span(len(tokens) - 2, len(tokens))
            return cls(whole, ((True, _told(whole, tokens, end, Role.MAP)),), Role.MAP)
        modalities, labels = _modalities(lower), _labels(lower)
        if labels and labels[0].start and lower[labels[0].start - 1] == RESULT_WORD:
            end = _Span(labels[0].start - 1, labels[0].stop)
            return cls(whole, ((True, _told(whole, tokens, end, Role.RESULT)),), Role.RESULT)
        last = _last_word(lower)
        otherwise = Role.UNKNOWN
        if last in _LABELS or (last in _OTHER and not modalities):
            otherwise = Role.OTHER
        spans = labels if last in _LABELS else [*modalities, *labels]
        doubtful = bool(modalities) and bool(_LABELS & set(lower))
        spans.sort(key=lambda span: (span.stop, -span.start), reverse=True)
        readings = tuple(
            (
                span.sure and not doubtful,
                _told(whole, tokens, span, Role.MODALITY if span.modality else Role.LABELS),
            )
            for span in spans
        )
        return cls(whole, readings, otherwise)

    def choose(self, shown: Mapping[tuple[str, ...], Collection[Modality | Role]]) -> FileName:
        """Pick the last reading whose ID shows something else too, else the last sure one."""
        for _, told in self.readings:
            if len(shown[told.id]) > 1:
                return told
        for sure, told in self.readings:
            if sure:
                return told
        return FileName(self.whole, self.otherwise)


def _tokens(whole: str) -> list[_Token]:
    """Split a stem into words; those of BIDS entities are dropped but for subject and session."""
    bids = _BIDS.fullmatch(whole)
    if bids is None:
        return _split(whole, 0)
    subject, entities = bids.group(1), bids.group(2)
    suffix = _split(bids.group("suffix"), bids.start("suffix"))
    tokens = _split(subject, 0)
    kept: list[_Token] = []
    for entity in _ENTITY.finditer(entities):
        key, value = entity.group(1).lower(), entity.group(2).lower()
        start, stop = bids.start(2) + entity.start(1), bids.start(2) + entity.end(2)
        if key == "ses":
            tokens += _split(whole[start:stop], start)
        elif key == "ce" and value not in _NO_AGENT and _T1_WORDS & {t.text for t in suffix}:
            kept.append(_Token("ce", start, stop))
        elif key in ("label", "desc", "acq"):
            words = _split(whole[start:stop], start)[1:]
            kept += [word for word in words if word.text in _NO_LESION | _LABELS_PREFIX | _CONTRAST]
    return tokens + kept + suffix


def _split(text: str, offset: int) -> list[_Token]:
    tokens: list[_Token] = []
    for word in _WORD.finditer(text):
        lower = unicodedata.normalize("NFC", word.group()).lower()
        start, stop = offset + word.start(), offset + word.end()
        before = tokens[-1].text if tokens else ""
        if (before, lower) in _PAIRS:
            tokens[-1] = _Token("darkfluid", tokens[-1].start, stop)
            continue
        marked = before in _SESSION_MARKS or (before == "sub" and len(tokens) == 1)
        tokens.append(_Token(lower, start, stop, names=not marked))
    return tokens


def _last_word(words: Sequence[str]) -> str:
    """Return the last word that is no processing."""
    rest = [word for word in words if word not in _PROCESSING and word not in _LABELS_SUFFIX]
    return rest[-1] if rest else ""


def _labels(words: Sequence[str]) -> list[_Span]:
    """Find the words that name labels: at the beginning, or at the end but for processing."""
    if words[:1] == ["vsd"] and "ot" in words:  # BraTS 2013 and 2015
        return [_Span(words.index("ot"), words.index("ot") + 1)]
    last = len(words)
    while last and words[last - 1] in _PROCESSING | _LABELS_SUFFIX:
        last -= 1
    found = []
    for at in dict.fromkeys((last - 1, 0)):
        if at < 0 or not words or words[at] not in _LABELS:
            continue
        start = at
        while start and words[start - 1] in _LABELS_PREFIX:
            start -= 1
        if start and words[start - 1] in _NO_LESION:
            continue
        found.append(_Span(start, last if at else 1))
    return found


def _modalities(words: list[str]) -> list[_Span]:
    """Find each modality that is named, with the words that name it."""
    found: list[_Span] = []
    index = 0
    while index < len(words):
        if found and words[index] in _TARGET_MARKS:
            break
        modality = _MODALITY.get(words[index])
        if modality is None:
            index += 1
            continue
        start, stop = index, index + 1
        after = _skip(words, stop, _ACQUISITION | _INVERSION, 1)
        following = words[after] if after < len(words) else ""
        if _MODALITY.get(following) is Modality.FLAIR and modality in (Modality.T1, Modality.T2):
            # T2 FLAIR is FLAIR; T1 FLAIR is a T1 image, or T1 belongs to the ID.
            sure = modality is Modality.T2
            found.append(_Span(start, stop, modality, sure=False))
            found.append(_Span(after, after + 1, Modality.FLAIR, sure=False))
            wide = Modality.FLAIR if sure else Modality.T1
            found.append(_Span(start, after + 1, wide, sure=sure))
            index = after + 1
            continue
        span: _Span | None = _Span(start, stop, modality)
        if modality is Modality.T1:
            span = _contrast(words, start)
        elif modality is Modality.T2 and _INVERSION & set(words[stop:after]):
            span = None  # FLAIR or STIR
        if span is None:
            index += 1
            continue
        previous = found[-1] if found else None
        between = words[previous.stop : span.start] if previous else []
        if previous and between and set(between) <= _REGISTRATION:
            found[-1] = replace(previous, sure=False)
            span = replace(span, sure=False)
        found.append(span)
        index = span.stop
    return [span for span in found if not _is_derived(words, span)]


def _is_derived(words: Sequence[str], span: _Span) -> bool:
    """Return True if the words behind a modality say that the image is another one."""
    return bool((_DERIVED | _OTHER) & set(_behind(words, span.stop)))


def _behind(words: Sequence[str], stop: int) -> Sequence[str]:
    """Return the words from ``stop`` on, less the target of a registration."""
    marks = [index for index in range(stop, len(words)) if words[index] in _TARGET_MARKS]
    return words[stop : marks[0] if marks else len(words)]


def _skip(words: Sequence[str], index: int, skipped: frozenset[str], step: int) -> int:
    while 0 <= index < len(words) and words[index] in skipped:
        index += step
    return index


def _contrast(words: Sequence[str], index: int) -> _Span | None:
    """Tell T1 from T1ce by the words around; None where they leave it open."""
    after = _skip(words, index + 1, _ACQUISITION, 1)
    one, two = (words[i] if i < len(words) else "" for i in (after, after + 1))
    if one in _NATIVE_AFTER | _NEGATION and two in _CONTRAST_AFTER - {"c"}:
        return _Span(index, after + 2, Modality.T1)
    if one in _NATIVE_AFTER and after == index + 1:
        return _Span(index, after + 1, Modality.T1)
    if one == "with" and two in _CONTRAST_AFTER:
        return _Span(index, after + 2, Modality.T1CE)
    if one in _CONTRAST_AFTER:
        # Further away "post" may mean after surgery, and "c" anything.
        near = after == index + 1 or one not in ("post", "c") or two in _AGENTS
        stop = _skip(words, after, _CONTRAST_AFTER, 1)
        return _Span(index, stop, Modality.T1CE) if near else None
    before = _skip(words, index - 1, _ACQUISITION, -1)
    if before >= 0 and words[before] in _CONTRAST_BEFORE:
        start = before
        while start and words[start - 1] in _CONTRAST_BEFORE | {"post", "with"}:
            start -= 1
        if start and words[start - 1] in _NEGATION:
            return _Span(start - 1, index + 1, Modality.T1)
        return _Span(start, index + 1, Modality.T1CE)
    if _CONTRAST & set(_behind(words, index + 1)):
        return None
    return _Span(index, index + 1, Modality.T1, sure=not _CONTRAST & set(words[:index]))


def _told(whole: str, tokens: Sequence[_Token], span: _Span, role: Role) -> FileName:
    """Say what a name means when ``span`` names its role."""
    before = list(tokens[: span.start])
    while before and before[-1].names and before[-1].text in _PROCESSING:
        before.pop()
    words = [token.text for token in tokens]
    behind = tokens[span.stop : span.stop + len(_behind(words, span.stop))]
    rest = [
        token
        for index, token in enumerate(behind)
        if token.text not in _PROCESSING | _AGENTS | _LABELS_SUFFIX
        and not (token.text == "post" and _AGENTS & {t.text for t in behind[index + 1 : index + 2]})
    ]
    text = whole[: before[-1].stop] if before else ""
    after = whole[rest[0].start : rest[-1].stop] if rest else ""
    return FileName(
        "_".join(part for part in (text, after) if part),
        role,
        span.modality,
        tuple(token.text for token in before),
        tuple(token.text for token in rest),
    )
