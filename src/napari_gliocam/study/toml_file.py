"""Read studies from TOML; every mistake of a file is listed at once, with the nearest name."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, get_type_hints

from napari_gliocam.cams.compare.ensemble import PAPER_NAMES, RULES
from napari_gliocam.cams.methods.registry import METHODS, MULTISCALE
from napari_gliocam.case import Modality
from napari_gliocam.errors import GliocamError
from napari_gliocam.plain import value_of
from napari_gliocam.refine.parameters import CRF_PRESETS
from napari_gliocam.refine.parameters import METHODS as REFINEMENTS
from napari_gliocam.settings import EvaluationSettings
from napari_gliocam.study.fields import (
    BASELINES,
    SEGMENT,
    Member,
    NamedBundle,
    Over,
    Pictures,
    Scoring,
    Study,
    StudyRow,
    TableChoice,
)
from napari_gliocam.targets import TARGETS
from napari_gliocam.wording import nearest

#: Metrics of each kind of scoring.
METRICS = {
    "two-class": ("dsc", "miou", "pa"),
    "foreground": ("dice", "iou"),
}
#: Kinds of scoring that go with what is averaged.
SCORINGS: dict[Over, tuple[Scoring, ...]] = {
    "slices": ("present-slices", "all-slices"),
    "patients": ("volume", "present-slices", "all-slices", "two-class"),
    "pooled": ("foreground", "two-class"),
}
_USUAL_METRICS = ("dice", "iou", "hd95_mm")


def shipped_studies() -> tuple[str, ...]:
    """Return the names of the studies that ship."""
    return tuple(sorted(path.stem for path in _shipped_folder().glob("*.toml")))


def read_study(source: str | Path) -> Study:
    """Read a study that ships, or a file.

    Parameters
    ----------
    source : str or Path
        Name of a study that ships, such as "paper1-table1", or the path of a TOML file.

    Raises
    ------
    GliocamError
        One sentence with the file and all that is wrong in it.
    """
    path = Path(source).expanduser()
    if not path.exists() and str(source) in shipped_studies():
        path = _shipped_folder() / f"{source}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        near = _nearest(str(source), shipped_studies())
        raise GliocamError(
            f'There is no study "{source}"{near}; give the path of a TOML file or one of '
            f"{', '.join(shipped_studies())}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise GliocamError(f'"{path}" is not valid TOML ({error}); correct it there.') from error
    reader = _Reader()
    study = reader.study(table, path.stem)
    if reader.problems or study is None:
        raise GliocamError(f'"{path}": {"; ".join(reader.problems)}.')
    return study


def _shipped_folder() -> Path:
    return Path(str(files("napari_gliocam.study") / "studies"))


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return a question about the nearest known name, or nothing."""
    near = nearest(name, known)
    return f' (did you mean "{near}"?)' if near else ""


class _Reader:
    """Reads tables and collects what is wrong in them."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def study(self, table: Mapping[str, Any], stem: str) -> Study | None:
        known = {f.name for f in fields(Study)} - {"rows"} | {"row"}
        self._check_keys(table, known, "")
        values = {"name": stem, **self._plain(Study, table, "", skip=("rows",))}
        for name, kind in (
            ("table", TableChoice),
            ("evaluation", EvaluationSettings),
            ("pictures", Pictures),
        ):
            if name in table:
                values[name] = self._build(kind, table[name], name)
        named = table.get("bundles", {})
        if not isinstance(named, dict):
            self.problems.append("bundles is no table")
            named = {}
        bundles = {n: self._build(NamedBundle, b, f"bundles.{n}") for n, b in named.items()}
        bundles.setdefault("default", NamedBundle(path="default"))
        rows = table.get("row", [])
        if not isinstance(rows, list) or not rows:
            self.problems.append("there is no [[row]]")
            rows = []
        built = [self._row(row, number) for number, row in enumerate(rows, start=1)]
        if None in values.values() or None in bundles.values():
            return None
        values |= {"bundles": bundles, "rows": tuple(row for row in built if row is not None)}
        study = Study(**values)
        self._check(study)
        return study

    def _row(self, table: Any, number: int) -> StudyRow | None:
        where = f"row {number}"
        if not isinstance(table, dict):
            self.problems.append(f"{where} is no table")
            return None
        where += f' "{table["name"]}"' if isinstance(table.get("name"), str) else ""
        members = table.get("members", [])
        if not isinstance(members, list):
            self.problems.append(f"{where}: members is no list of tables")
            members = []
        built = [
            self._build(Member, member, f"{where}, member {count}")
            for count, member in enumerate(members, start=1)
        ]
        published = self._published(table.get("published", {}), where)
        row: StudyRow | None = self._build(
            StudyRow, table, where, members=tuple(m for m in built if m), published=published
        )
        return row

    def _published(self, table: Any, where: str) -> dict[str, dict[str, tuple[float, ...]]]:
        found: dict[str, dict[str, tuple[float, ...]]] = {}
        metrics = {*_USUAL_METRICS, *METRICS["two-class"]}
        if not isinstance(table, dict):
            self.problems.append(f"{where}: published is no table")
            return found
        for target, figures in table.items():
            self._check_name(target, TARGETS, f"{where}: published", "class")
            for metric, figure in figures.items() if isinstance(figures, dict) else ():
                self._check_name(metric, metrics, f"{where}: published.{target}", "figure")
                try:
                    pair = value_of(
                        tuple[float, ...], figure if isinstance(figure, list) else [figure]
                    )
                    if len(pair) not in (1, 2):
                        raise ValueError
                    found.setdefault(target, {})[metric] = pair
                except ValueError:
                    self.problems.append(
                        f"{where}: published.{target}.{metric} is {figure!r}, not a mean or "
                        "[mean, sd]"
                    )
        return found

    def _check(self, study: Study) -> None:
        """Check what a table alone does not tell: names, and values that belong together."""
        for target in study.targets:
            self._check_name(target, TARGETS, "targets", "class")
        for name, bundle in study.bundles.items():
            for modality in bundle.modalities:
                self._check_name(modality, {*Modality}, f"bundles.{name}", "modality")
        if not study.targets:
            self.problems.append("targets is empty")
        allowed = METRICS.get(study.table.scoring, _USUAL_METRICS)
        for metric in study.table.metrics:
            self._check_name(metric, allowed, f"table with {study.table.scoring}", "figure")
        if study.table.scoring not in SCORINGS[study.table.over]:
            allowed = SCORINGS[study.table.over]
            self.problems.append(
                f'table: over "{study.table.over}" takes the scoring {" or ".join(allowed)}, not '
                f'"{study.table.scoring}"'
            )
        titles = [row.title for row in study.rows]
        for title in sorted({t for t in titles if titles.count(t) > 1}):
            self.problems.append(f'two rows are called "{title}"')
        if study.tests not in ("", "previous"):
            self._check_name(study.tests, titles, "tests", "row")
        for number, row in enumerate(study.rows, start=1):
            self._check_row(row, study, f'row {number} "{row.name}"')

    def _check_row(self, row: StudyRow, study: Study, where: str) -> None:
        self._check_name(row.refine, REFINEMENTS, where, "refinement")
        if row.crf:
            presets = {name.casefold() for name in CRF_PRESETS}
            self._check_name(row.crf.casefold(), presets, where, "preset of the CRF")
        if row.rule:
            self._check_name(row.rule, (*RULES, *PAPER_NAMES), where, "rule")
            if len(row.members) < 2:
                self.problems.append(f"{where}: an ensemble needs two members or more")
        elif row.members:
            self.problems.append(f"{where}: members without a rule")
        for choice in row.choices:
            self._check_choice(choice, study, where, member=bool(row.members))

    def _check_choice(self, choice: Member, study: Study, where: str, *, member: bool) -> None:
        inner = choice.method.removeprefix(MULTISCALE)
        known = [*METHODS] if member else [*METHODS, SEGMENT, *BASELINES]
        self._check_name(inner, known, where, "method")
        self._check_name(choice.bundle, study.bundles, where, "bundle")
        if choice.score not in ("exit", "mean") and not choice.score.isdecimal():
            self.problems.append(f'{where}: score is "{choice.score}", not exit, mean or a number')
        if not 1 <= choice.layer <= 4:
            self.problems.append(f"{where}: layer is {choice.layer}, not 1 to 4")
        if choice.threshold is not None and not 0 <= choice.threshold <= 1:
            self.problems.append(f"{where}: threshold is {choice.threshold:g}, not in 0 to 1")

    # ---- tables as dataclasses

    def _build(self, kind: type, table: Any, where: str, **given: Any) -> Any:
        if not isinstance(table, dict):
            self.problems.append(f"{where} is no table")
            return None
        self._check_keys(table, {f.name for f in fields(kind)}, where)
        values = {**self._plain(kind, table, where, skip=given), **given}
        missing = [
            f.name
            for f in fields(kind)
            if f.name not in values and f.default is MISSING and f.default_factory is MISSING
        ]
        if missing:
            self.problems.append(f"{where} has no {' and no '.join(missing)}")
            return None
        try:
            return kind(**values)
        except GliocamError as error:
            self.problems.append(f"{where}: {str(error).rstrip('.')}")
            return None

    def _plain(
        self, kind: type, table: Mapping[str, Any], where: str, *, skip: Iterable[str]
    ) -> dict[str, Any]:
        """Return the plain values of a table, each of the type that the dataclass asks for."""
        hints, values = get_type_hints(kind), {}
        for name, value in table.items():
            hint = hints.get(name)
            if hint is None or name in skip or isinstance(value, dict):
                continue
            try:
                values[name] = value_of(hint, value)
            except ValueError as error:
                key = f"{where}: {name}" if where else name
                self.problems.append(f"{key} is {value!r}, not {error}")
        return values

    def _check_keys(self, table: Mapping[str, Any], known: set[str], where: str) -> None:
        for key in table:
            if key not in known:
                place = f"{where}: " if where else ""
                self.problems.append(f'{place}"{key}" is no key{_nearest(key, known)}')

    def _check_name(self, name: str, known: Iterable[str], where: str, what: str) -> None:
        if name not in known:
            self.problems.append(f'{where}: there is no {what} "{name}"{_nearest(name, known)}')
