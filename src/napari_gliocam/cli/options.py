"""Options of commands, made from the fields of the dataclasses that they fill.

Default, choices and help are those of the dataclass, and so is the check of a value: a setting
is stated once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from functools import partial, wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from napari_gliocam.cli.batch import Sources
from napari_gliocam.cli.cluster import Cluster
from napari_gliocam.cli.console import Bundle, Device, one_of
from napari_gliocam.errors import BundleError, GliocamError
from napari_gliocam.plain import without_none
from napari_gliocam.refine.parameters import CRF_PRESETS, Refinement
from napari_gliocam.settings import Networks, SegmentRequest, Thresholds, field_docs
from napari_gliocam.train.run.request import TrainingRequest
from napari_gliocam.wording import no_such

#: Words for a switch that is off, where "--no-..." would not say it.
_OFF = {"exclusive": "--overlapping", "volume": "--crf-slices", "case_names": "--no-names"}
#: Names of options that can be repeated, and of others that differ from their field.
_NAMES = {
    **{"methods": "method", "targets": "class", "layers": "layer", "bundles": "bundle"},
    **{"ensembles": "ensemble", "member_thresholds": "member-threshold"},
}
#: What an option's value is called in its help.
_METAVARS = {
    **dict.fromkeys(("labels", "split"), "CSV"),
    **dict.fromkeys(("cases", "out", "bundle", "bundles", "cache", "work", "anatomies"), "DIR"),
    **dict.fromkeys(("masks", "second_masks", "results"), "DIR"),
    **{"against": "FILE", "result": "PATH", "label_scheme": "NAME", "heading": "TEXT"},
    **{"min_lesion": "ML", "ensembles": "NAME", "tests": "NAMES", "scheduler": "ADDRESS"},
}
#: Which parameters a command gets, and how their values become one.
_Maker = tuple[Callable[[], list[inspect.Parameter]], Callable[[Mapping[str, Any]], Any]]
#: Fields of a training that are no options of its own.
_NO_OPTIONS = ("recipe", "threads", "compare", "fold")
#: A training of the networks that make the maps, and one of a network that learns from masks.
MapTraining = Annotated[TrainingRequest, "maps"]
MaskTraining = Annotated[TrainingRequest, "masks"]
#: Defaults that are not those of the field.
_SHOWN: dict[tuple[type, str], str] = {
    (Thresholds, "tumour_threshold"): "the bundle's",
    (Thresholds, "class_threshold"): "the bundle's",
    (Thresholds, "gate_probability"): "the bundle's",
}


def options_of(
    kind: type, part: str, *, prefix: str = "", without: Collection[str] = ()
) -> list[inspect.Parameter]:
    """Make an option of each field of a dataclass; its value is None where it is not given.

    Parameters
    ----------
    kind : type
        A dataclass with a numpy docstring and plain fields: bool, int, float, str or Literal, or
        tuples of them, whose options can be repeated.  The metadata of a field may hold
        ``choices``, names for its help text, ``words``, which stand for values that are no
        numbers, ``min`` and ``max``.
    part : str
        The parameters are called ``part__field``, see `given_for`.
    prefix : str
        The options are called ``--prefix-field``.
    without : collection of str
        Fields that get no option.

    Returns
    -------
    list of inspect.Parameter
        For the signature of a command.
    """
    hints, docs = get_type_hints(kind), field_docs(kind)
    made = []
    for field in fields(kind):
        if field.name in without:
            continue
        text = docs.get(field.name, "").replace("``", "").rstrip(".")
        hint, words = without_none(hints[field.name]), field.metadata.get("words", {})
        several = get_origin(hint) is tuple
        one = get_args(hint)[0] if several else hint
        stem = "-".join(filter(None, (prefix, _NAMES.get(field.name, field.name))))
        stem = stem.replace("_", "-")
        default = field.default if field.default is not MISSING else None
        shown: object = default
        metavar = _METAVARS.get(field.name) or {int: "N", float: "X"}.get(one)
        name, parser = f"--{stem}", None
        if one is bool:
            shown = None
            if default is not False or field.name in _OFF:  # else there is nothing to switch off
                name += f"/{_OFF.get(field.name, f'--no-{stem}')}"
                shown = None if default is None else "on" if default else "off"
        elif choices := field.metadata.get("choices", ()):
            text, metavar = f"{text}: {', '.join(choices)}", "NAME"
            parser = None if several else one_of(*choices)
        elif get_origin(one) is Literal:
            choices = get_args(one)
            listed = ", ".join(map(str, choices))
            text, metavar = f"{text}: {listed}" if text else f"One of {listed}", "NAME"
            one, parser = str, one_of(*choices)
        elif words:
            number = float if one is float else int
            one, parser = str, partial(_word_or_number, words, number)
            metavar = f"NAME|{'X' if number is float else 'N'}"
            text = f"{text}: {', '.join(words)} or a number"
            shown = next(word for word, value in words.items() if value == default)
        if isinstance(shown, float):
            shown = f"{shown:g}"
        elif isinstance(shown, tuple):
            shown = ", ".join(map(str, shown)) or None
        shown = _SHOWN.get((kind, field.name), shown)
        shown = None if shown == "" else shown
        text += ". Repeat it for several" if several else ""
        text += f"  [default: {shown}]" if shown is not None else ""
        option = typer.Option(
            *((name, "-o") if field.name == "out" else (name,)),
            help=text,
            metavar=metavar,
            show_default=False,
            parser=parser,
            min=field.metadata.get("min"),
            max=field.metadata.get("max"),
        )
        required = field.default is MISSING and field.default_factory is MISSING
        taken: Any = list[one] if several else one  # type: ignore[valid-type]
        made.append(_parameter(f"{part}__{field.name}", taken, option, required=required))
    return made


def _word_or_number(words: Mapping[str, Any], number: type, text: str) -> Any:
    try:
        return words[text] if text in words else number(text)
    except ValueError:
        known = ", ".join(words)
        raise typer.BadParameter(f'"{text}" is none of {known} and no number.') from None


def given_for(part: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a part that were given on the command line.

    Parameters
    ----------
    part : str
        As in `options_of`.
    values : mapping of str to value
        All parameters of the command; None where an option was not given.
    """
    start = f"{part}__"
    return {
        name.removeprefix(start): tuple(dict.fromkeys(value)) if isinstance(value, list) else value
        for name, value in values.items()
        if name.startswith(start) and value is not None
    }


def with_shared_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command options in the place of its parameters of shared types.

    Parameters
    ----------
    command : callable
        A command with parameters of the types `Sources`, `SegmentRequest`, `MapTraining`,
        `MaskTraining`, or of other dataclasses, whose fields may be of such types, too.

    Returns
    -------
    callable
        The command with CASE and the options ``--flair``, ``--t1ce``, ``--t2`` and ``--t1`` for
        `Sources`; with ``--bundle``, ``--device``, ``--like``, the thresholds and every part of a
        refinement for `SegmentRequest`; else with an option for each field.  A value out of its
        range is a wrong usage.
    """
    signature = inspect.signature(command, eval_str=True)
    makers: dict[str, Callable[[Mapping[str, Any]], Any]] = {}
    own: list[inspect.Parameter] = []
    first: list[inspect.Parameter] = []
    added: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if (maker := _maker(parameter.annotation, parameter.name)) is not None:
            parameters, makers[parameter.name] = maker
            # What the command is about comes first, what many commands share comes last.
            leads = parameter.annotation not in (Sources, SegmentRequest, Cluster)
            place = first if leads else added
            place += parameters()
        else:
            own.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def run(**values: Any) -> None:
        mine = {p.name: values.pop(p.name) for p in own}
        try:
            made = {name: make(values) for name, make in makers.items()}
        except GliocamError as error:
            raise typer.BadParameter(str(error)) from error
        command(**mine, **made)

    run.__signature__ = signature.replace(parameters=[*first, *own, *added])  # type: ignore[attr-defined]
    return run


def _sources_parameters() -> list[inspect.Parameter]:
    cases = typer.Argument(
        metavar="CASE", help="A case's folder, a file of it, or a folder of cases."
    )
    images = [
        _parameter(
            modality,
            str,
            typer.Option(
                f"--{modality}",
                metavar="FILE",
                help=f'This file, or files such as "{pattern}", show {title}.',
            ),
        )
        for modality, title, pattern in (
            ("flair", "FLAIR", "*_fl.nii.gz"),
            ("t1ce", "T1ce", "*_gd.nii.gz"),
            ("t2", "T2", "*_tse.nii.gz"),
            ("t1", "T1", "*_mpr.nii.gz"),
        )
    ]
    return [_parameter("cases", list[Path], cases), *images]


def sources_of(values: Mapping[str, Any]) -> Sources:
    """Return the cases and images that the options name.

    Parameters
    ----------
    values : mapping of str to value
        ``cases`` and a file or pattern for each modality, each None where it is not given.

    Raises
    ------
    GliocamError
        Neither a case nor an image was named.
    """
    images = {name: values[name] for name in ("flair", "t1ce", "t2", "t1") if values[name]}
    if not values["cases"] and not images:
        raise GliocamError("Name a CASE, or its files with --flair, --t1ce, --t2 and --t1.")
    return Sources(tuple(values["cases"] or ()), images)


def request_of(values: Mapping[str, Any]) -> SegmentRequest:
    """Make the request that the options ask for.

    Parameters
    ----------
    values : mapping of str to value
        Of the parameters that `with_shared_options` adds.

    Raises
    ------
    GliocamError
        A value is out of its range, has no effect, or the file of ``--like`` cannot be read.
    """
    thresholds, refinement = None, Refinement()
    bundle: Path | None = values["bundle"]
    if values["like"] is not None:
        from napari_gliocam.io.sidecar import read_choices  # needs NumPy

        thresholds, refinement = read_choices(values["like"])
    if given := given_for("thresholds", values):
        thresholds = replace(thresholds or _thresholds_of(bundle), **given)
    return SegmentRequest(
        bundle,
        values["device"],
        thresholds,
        _refinement(refinement, values),
        values["networks"] or "bundle",
    )


def _thresholds_of(bundle: Path | None) -> Thresholds:
    from napari_gliocam.nets.bundle_info import read_bundle_info
    from napari_gliocam.segmentation import bundle_thresholds

    try:
        return bundle_thresholds(read_bundle_info(bundle))
    except BundleError:  # every case will say so
        return Thresholds()


def _refinement(base: Refinement, values: Mapping[str, Any]) -> Refinement:
    changed: dict[str, Any] = {}
    if values["refine"] is not None:
        changed["method"] = values["refine"]
    if values["crf"] is not None:
        presets = {name.casefold(): preset for name, preset in CRF_PRESETS.items()}
        if values["crf"].casefold() not in presets:
            raise GliocamError(no_such(values["crf"], CRF_PRESETS, "CRF"))
        base = replace(base, crf=presets[values["crf"].casefold()])
    for part, kind in _parts().items():
        if given := given_for(part, values):
            changed[part] = replace(getattr(base, part) or kind(), **given)
    if values["components"] is False:
        changed["components"] = None
    elif values["components"] and base.components is None:
        changed.setdefault("components", _parts()["components"]())
    refinement = replace(base, **changed)
    for part in _parts():
        if part not in refinement.used and (given := given_for(part, values)):
            option = f"--{part}-{next(iter(given))}".replace("_", "-")
            raise GliocamError(
                f'{option} has no effect with the refinement "{refinement.method}"; leave it out '
                "or choose another by --refine."
            )
    return refinement


def _parts() -> dict[str, type]:
    """Return the dataclasses of a refinement by the name of their field."""
    kinds = {name: without_none(hint) for name, hint in get_type_hints(Refinement).items()}
    return {n: kind for n, kind in kinds.items() if isinstance(kind, type) and is_dataclass(kind)}


def _request_parameters() -> list[inspect.Parameter]:
    methods = ", ".join(get_args(get_type_hints(Refinement)["method"]))
    default, presets = Refinement(), ", ".join(CRF_PRESETS)
    own: list[tuple[str, Any, str, str, str | None]] = [
        ("refine", str, "--refine", f"{methods}  [default: {default.method}]", "NAME"),
        ("crf", str, "--crf", f"Start from these parameters of the CRF: {presets}", "NAME"),
        (
            "components",
            bool,
            "--components/--no-components",
            "Drop small parts of the tumour, fill holes and necrosis"
            f"  [default: {'on' if default.components else 'off'}]",
            None,
        ),
        (
            "networks",
            str,
            "--networks",
            f"{', '.join(get_args(Networks))}: what segments where the bundle has a segmentation "
            "network; bundle: as it was made",
            "NAME",
        ),
        (
            "like",
            Path,
            "--like",
            "Take thresholds and refinement from the json of an earlier result; other options "
            "change them.",
            "JSON",
        ),
    ]
    parameters = [
        inspect.Parameter(
            "bundle", inspect.Parameter.KEYWORD_ONLY, annotation=Bundle, default=None
        ),
        inspect.Parameter(
            "device",
            inspect.Parameter.KEYWORD_ONLY,
            annotation=Device,
            default="auto",
        ),
        *options_of(Thresholds, "thresholds"),
    ]
    for name, hint, option, text, metavar in own:
        made = typer.Option(option, help=text, metavar=metavar)
        parameters.append(_parameter(name, hint, made))
    for part, kind in _parts().items():
        parameters += options_of(kind, part, prefix=part)
    return parameters


def _parameter(name: str, hint: Any, option: Any, *, required: bool = False) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[hint if required else hint | None, option],
        default=inspect.Parameter.empty if required else None,
    )


def _maker(kind: Any, part: str) -> _Maker | None:
    """Return the options that stand for a value, and how they become one; None for a plain type."""
    if kind in _SHARED:
        return _SHARED[kind]
    return _from_fields(kind, part) if is_dataclass(kind) and isinstance(kind, type) else None


def _from_fields(kind: type, part: str, *without: str) -> _Maker:
    """Return options for the fields of a dataclass, and how they become a value of it."""
    hints = {name: hint for name, hint in get_type_hints(kind).items() if name not in without}
    nested = {name: made for name, hint in hints.items() if (made := _maker(hint, name))}

    def parameters() -> list[inspect.Parameter]:
        own = options_of(kind, part, without=(*without, *nested))
        return [*own, *(one for inner, _ in nested.values() for one in inner())]

    def value(values: Mapping[str, Any]) -> Any:
        inner = {name: make(values) for name, (_, make) in nested.items()}
        return kind(**given_for(part, values), **inner)

    return parameters, value


#: Parameters of a command that stand for options: which, and how they become one value.
_SHARED: dict[Any, _Maker] = {
    Sources: (_sources_parameters, sources_of),
    SegmentRequest: (_request_parameters, request_of),
}
_SHARED |= {
    MapTraining: _from_fields(TrainingRequest, "training", *_NO_OPTIONS, "masks", "second_masks"),
    MaskTraining: _from_fields(TrainingRequest, "training", *_NO_OPTIONS, "split"),
}
