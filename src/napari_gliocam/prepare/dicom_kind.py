"""What a DICOM series shows, from its description, its parameters and the contrast agent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_gliocam.case import Modality
from napari_gliocam.io.naming import Role, parse_name

if TYPE_CHECKING:
    from collections.abc import Callable

#: Values of ImageType, and words of descriptions, of images that are none of the four.
_TYPES = {
    "LOCALIZER": "a localiser",
    "ADC": "an ADC map",
    "FA": "a map of fractional anisotropy",
    "TRACEW": "a diffusion image",
    "DIFFUSION": "a diffusion image",
    "PROJECTION IMAGE": "a projection",
    "MIP": "a projection",
    "MNIP": "a projection",
    "SCREEN SAVE": "a screenshot",
    "PHASE MAP": "a phase map",
    "P": "a phase image",
    "PHASE": "a phase image",
    "IMAGINARY": "a phase image",
}
_WORDS = {
    "localiser": r"loc|localizer|localiser|scout|survey|aahead.*scout|smartbrain",
    "ADC map": r"adc|eadc|dadc",
    "diffusion image": r"dwi|dti|diff|diffusion|trace|tracew|b1000|b0|resolve|fa|colfa",
    "susceptibility image": r"swi|swan|swip|mip|minip|pha|qsm|t2star|hemo|gre_t2",
    "angiography": r"tof|mra|mrv|angio|pca",
    "perfusion image": r"perf|perfusion|dsc|dce|asl|cbf|cbv|rcbv|mtt|ttp|pwi",
    "spectroscopy image": r"mrs|csi|spectro|svs",
    "functional image": r"bold|fmri|ep2d_bold|rest",
    "subtraction": r"sub|subtraction|subtracted",
    "screenshot": r"screen|screenshot|report",
}
_DERIVED = {
    kind: re.compile(rf"(?:^|[^a-z0-9])(?:{words})(?:$|[^a-z0-9])", re.IGNORECASE)
    for kind, words in _WORDS.items()
}
_CAPTURE = "1.2.840.10008.5.1.4.1.1.7."
_NATIVE = re.compile(
    r"(?:^|[^a-z])(?:pre|native|nativ|ohne|without|non|no|plain)(?:$|[^a-z])", re.I
)


@dataclass(frozen=True)
class Parameters:
    """How a series was acquired.

    Parameters
    ----------
    description : str
        SeriesDescription and ProtocolName.
    echo, repetition, inversion : float or None
        TE, TR and TI in ms.
    agent : bool
        Whether a contrast agent is named.
    """

    description: str
    echo: float | None
    repetition: float | None
    inversion: float | None
    agent: bool


def parameters_of(header: Any) -> Parameters:
    """Collect what is known of a series from the header of one instance."""
    shared = _groups(header)

    def of(name: str, *places: tuple[str, str]) -> float | None:
        values = [_one(getattr(header, name, None))]
        values += [
            _one(getattr(group, key, None))
            for sequence, key in places
            for group in shared(sequence)
        ]
        return next((float(value) for value in values if value is not None), None)

    words = [getattr(header, "SeriesDescription", ""), getattr(header, "ProtocolName", "")]
    named = str(getattr(header, "ContrastBolusAgent", "") or "").strip().lower()
    coded = bool(getattr(header, "ContrastBolusAgentSequence", ()))
    return Parameters(
        " ".join(dict.fromkeys(str(word).strip() for word in words if word)),
        of("EchoTime", ("MREchoSequence", "EffectiveEchoTime")),
        of("RepetitionTime", ("MRTimingAndRelatedParametersSequence", "RepetitionTime")),
        of("InversionTime", ("MRModifierSequence", "InversionTimes")),
        named not in ("", "no", "none", "n") or coded,
    )


def _one(value: Any) -> Any:
    """Return the first of several values; None where there is none."""
    if value is None or value == "":
        return None
    if isinstance(value, (str, bytes, int, float)):
        return value
    try:
        return value[0] if len(value) else None
    except TypeError:
        return value


def _groups(header: Any) -> Callable[[str], list[Any]]:
    """Return a look-up of the functional groups of a multi-frame image."""
    places = [
        getattr(header, name, None)
        for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
    ]

    def look_up(name: str) -> list[Any]:
        found = [getattr(place[0], name, None) for place in places if place]
        return [sequence[0] for sequence in found if sequence]

    return look_up


def why_not(header: Any) -> str | None:
    """Say what an image is that is none of the four sequences; None where it may be one.

    Parameters
    ----------
    header : pydicom Dataset
        Of one instance.
    """
    modality = str(getattr(header, "Modality", "") or "")
    if f"{getattr(header, 'SOPClassUID', '')}.".startswith(_CAPTURE):
        return "a secondary capture"
    if modality != "MR":
        return f"of the modality {modality}" if modality.isalnum() else "of no known modality"
    if getattr(header, "Rows", None) is None:
        return "without pixel data"
    if int(getattr(header, "SamplesPerPixel", 1) or 1) != 1:
        return "a colour image"
    types = [str(value).upper() for value in getattr(header, "ImageType", None) or ()]
    for value in types[2:]:
        if value in _TYPES:
            return _TYPES[value]
    description = parameters_of(header).description
    for kind, words in _DERIVED.items():
        if words.search(description):
            return f"{'an' if kind[0] in 'aA' else 'a'} {kind}"
    return None


def tell_modality(told: Parameters) -> tuple[Modality | None, str]:
    """Tell the sequence of a series.

    Parameters
    ----------
    told : Parameters
        Of the series.

    Returns
    -------
    modality : Modality or None
        None where nothing says it, or where two things disagree.
    reason : str
        What says it, or what disagrees.
    """
    name = parse_name(told.description) if told.description else None
    by_name = name.modality if name is not None and name.role is Role.MODALITY else None
    by_time, times = _by_times(told)
    if by_name is Modality.T2 and by_time is Modality.FLAIR:
        return Modality.FLAIR, times
    kind = by_name
    if by_name is Modality.T1CE:
        kind = Modality.T1
    if kind is not None and by_time is not None and kind is not by_time:
        return None, f"the description says {kind.title}, but {times} says {by_time.title}"
    kind = kind or by_time
    reason = "the description" if by_name else times
    if kind is Modality.T1:
        if by_name is Modality.T1CE:
            return Modality.T1CE, "the description"
        if told.agent and not _NATIVE.search(told.description):
            return Modality.T1CE, "a contrast agent is named"
    return kind, reason if kind else ""


def _by_times(told: Parameters) -> tuple[Modality | None, str]:
    """Tell the weighting by echo, repetition and inversion times."""
    echo, repetition, inversion = told.echo, told.repetition, told.inversion
    if echo is None or repetition is None:
        return None, ""
    if inversion is not None and inversion > 1400 and echo > 60:
        return Modality.FLAIR, f"the inversion time ({inversion:.0f} ms)"
    if echo > 60 and repetition > 1800:
        return Modality.T2, f"the echo time ({echo:.0f} ms)"
    short = echo < 30 and repetition < 1100
    prepared = echo < 15 and inversion is not None and 300 < inversion < 1400
    if short or prepared:
        return Modality.T1, f"the echo time ({echo:.1f} ms)"
    return None, ""
