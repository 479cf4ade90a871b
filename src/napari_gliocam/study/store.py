"""What a study has computed: a json for each case, so that nothing is computed twice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari_gliocam
from napari_gliocam.case import Modality
from napari_gliocam.errors import GliocamError
from napari_gliocam.io.atomic import write_json
from napari_gliocam.io.folds import FOLDS_FILE, read_folds
from napari_gliocam.io.naming import safe_name
from napari_gliocam.nets.bundle_info import INFO_FILE, read_bundle_info
from napari_gliocam.study.fields import BASELINES, Member, Study, StudyRow
from napari_gliocam.study.scores import RowScores
from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from napari_gliocam.io import CaseFiles


@dataclass(frozen=True)
class Setup:
    """A study with its bundles found, ready to run on any machine that sees the same folders.

    Parameters
    ----------
    study : Study
        The study, with a row for each seed of a bundle that has several.
    bundles : mapping of str to Path
        Folder of each bundle that a row uses.
    keys : tuple of str
        Key of each row: it changes with everything that changes the row's scores.
    out : Path
        Folder of the study.
    device : str
        Where the networks run.
    folds : mapping of str to mapping of str to int
        For bundles of a cross-validation (``train --folds``): the fold of each case.
    """

    study: Study
    bundles: Mapping[str, Path]
    keys: tuple[str, ...]
    out: Path
    device: str = "auto"
    folds: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def bundle_of(self, name: str, case: str) -> Path:
        """Return the folder of a bundle for a case; of one in folds, that which left it out.

        Parameters
        ----------
        name : str
            Name of the bundle among the study's.
        case : str
            Name of the case.

        Raises
        ------
        GliocamError
            The bundle is in folds, and the case is in none of them.
        """
        folder = self.bundles[name]
        if name not in self.folds:
            return folder
        if case not in self.folds[name]:
            raise GliocamError(
                f'"{case}" is in no fold of the bundle "{name}" ({folder}); leave it out, or name '
                "one bundle for all cases."
            )
        return folder / f"fold-{self.folds[name][case]}"

    def record_file(self, case: str) -> Path:
        """Return the file with the scores of a case."""
        return self.out / "cases" / f"{safe_name(case)}.json"

    def picture_file(self, case: str, row: int, target: Target) -> Path:
        """Return the picture of a row, counted from 0, on a case; rows may move in the study."""
        words = safe_name("-".join(self.study.rows[row].title.lower().split())[:40])
        name = f"{safe_name(case)}_{words}-{self.keys[row][:8]}_{target}.png"
        return self.out / "pictures" / name


def set_up(
    study: Study,
    out: Path,
    *,
    bundles: Mapping[str, Path] | None = None,
    folder: Path | None = None,
    device: str = "auto",
) -> Setup:
    """Find the bundles of a study; no network is loaded.

    The folder of a bundle may hold a cross-validation (``train --folds``), several seeds as
    ``seed-1``, ``seed-2`` and so on, or a cross-validation in each of those.

    Parameters
    ----------
    study : Study
        The study.
    out : Path
        Folder of the study.
    bundles : mapping of str to Path, optional
        Folders given for bundles of the study, which go before its own paths.
    folder : Path, optional
        Folder that paths in the study are relative to.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the networks run.

    Raises
    ------
    GliocamError
        A bundle was not given or cannot be read, or a name is none of the study's; all at once.
    """
    given, seeds = dict(bundles or {}), dict[str, list[str]]()
    problems = [
        f'the study has no bundle "{name}" (it has {", ".join(study.bundles)})'
        for name in given
        if name not in study.bundles
    ]
    used = dict.fromkeys(
        choice.bundle
        for row in study.rows
        for choice in row.choices
        if choice.method not in BASELINES
    )
    found: dict[str, Path] = {}
    digests: dict[str, str] = {}
    folds: dict[str, dict[str, int]] = {}
    for name in used:
        bundle = study.bundles[name]
        if name not in given and not bundle.path:
            how = f" ({bundle.training})" if bundle.training else ""
            problems.append(f'train the bundle "{name}"{how} and give it: --bundle {name}=DIR')
            continue
        try:
            whole = _folder_of(given.get(name), bundle.path, folder)
            seeds[name] = [part.name for part in sorted(whole.glob("seed-*")) if part.is_dir()]
            for seed in seeds[name] or [""]:
                one, part = _of_seed(name, seed), (whole / seed).resolve()
                found[one], parts = part, [part]
                if (part / FOLDS_FILE).exists():
                    folds[one] = read_folds(part / FOLDS_FILE)
                    parts = [part / f"fold-{n}" for n in sorted({*folds[one].values()})]
                digests[one] = " ".join(_checked_digest(p, name, study) for p in parts)
        except GliocamError as error:
            problems.append(str(error).rstrip("."))
    if not problems:
        rows = [_by_seed(row, seeds, problems) for row in study.rows]
        study = replace(study, rows=tuple(one for each in rows for one in each))
    if problems:
        raise GliocamError(f'The study "{study.name}" cannot run: {"; ".join(problems)}.')
    keys = tuple(_row_key(row, study, digests) for row in study.rows)
    return Setup(study, found, keys, out, device, folds)


def _checked_digest(path: Path, name: str, study: Study) -> str:
    """Return the digest of a bundle that can be read and fits the study."""
    info, wanted = read_bundle_info(path), study.bundles[name].modalities
    if wanted and {m.value for m in info.modalities} != set(wanted):
        seen, asked = (
            " and ".join(Modality(m).title for m in names) for names in (info.modalities, wanted)
        )
        raise GliocamError(
            f'the bundle "{name}" ({path}) looks at {seen}, and the study needs one for {asked}'
        )
    if not {*study.targets} <= {*info.targets}:
        raise GliocamError(
            f'the bundle "{name}" ({path}) knows the tumour alone, and the study scores '
            f"{' and '.join(study.targets)}; train one with --targets classes"
        )
    return bundle_digest(path)


def _folder_of(given: Path | None, path: str, folder: Path | None) -> Path:
    """Return the folder of a bundle, from ``--bundle`` or from the study."""
    if given is not None:
        return given
    if folder is not None and path != "default" and (folder / path).exists():
        return folder / path
    found = read_bundle_info(None if path == "default" else path).path
    assert found is not None
    return found


def _of_seed(bundle: str, seed: str) -> str:
    """Return the name of a bundle's seed among the bundles of a `Setup`."""
    return f"{bundle}/{seed}" if seed else bundle


def _by_seed(
    row: StudyRow, seeds: Mapping[str, Sequence[str]], problems: list[str]
) -> list[StudyRow]:
    """Return a row once for each seed of its bundles; the members of an ensemble go together."""
    there = {tuple(found) for choice in row.choices if (found := seeds.get(choice.bundle))}
    if row.method in BASELINES or not there:
        return [row]
    common = sorted(set.intersection(*(set(found) for found in there)))
    if len(there) > 1 or (row.seed and row.seed not in common):
        problems.append(
            f'row "{row.title}": its bundles have the seeds {" and ".join(map(", ".join, there))}; '
            "choose one that all have"
        )
        return []

    def chosen(choice: Member, seed: str) -> Any:
        named = seeds.get(choice.bundle)
        return replace(choice, bundle=_of_seed(choice.bundle, seed)) if named else choice

    return [
        replace(
            chosen(row, seed),
            seed=seed,
            members=tuple(chosen(member, seed) for member in row.members),
        )
        for seed in ([row.seed] if row.seed else common)
    ]


def bundle_digest(folder: Path) -> str:
    """Return a text that changes with the weights of a bundle and with its description."""
    digest = sha256()
    for path in (folder / INFO_FILE, *sorted(folder.glob("*.safetensors"))):
        with suppress(OSError):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _row_key(row: StudyRow, study: Study, digests: Mapping[str, str]) -> str:
    settings = asdict(row)
    for name in ("name", "group", "published"):
        settings.pop(name)
    if not row.seed:
        settings.pop("seed")
    bundles = [digests.get(choice.bundle) for choice in row.choices]
    content = [
        napari_gliocam.__version__,
        settings,
        bundles,
        study.targets,
        study.crop,
        asdict(study.evaluation),
    ]
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def fingerprint(files: CaseFiles) -> str:
    """Return a text that changes with the files of a case; no image is read."""
    digest = sha256()
    for path in files.paths:
        facts = path.stat()
        digest.update(f"{path.name}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


@dataclass(eq=False)
class CaseScores:
    """The scores of a case by the keys of rows.

    Parameters
    ----------
    case : str
        Name of the case.
    files : str
        As `fingerprint`.
    rows : dict of str to RowScores
        What is known.
    """

    case: str
    files: str
    rows: dict[str, RowScores] = field(default_factory=dict)

    @classmethod
    def read(cls, setup: Setup, files: CaseFiles) -> CaseScores:
        """Return what is stored of a case; nothing where its files have changed since."""
        mark = fingerprint(files)
        with suppress(OSError, ValueError, KeyError, TypeError):
            raw = json.loads(setup.record_file(files.name).read_text(encoding="utf-8"))
            if raw["files"] == mark:
                rows = {key: RowScores.from_json(row) for key, row in raw["rows"].items()}
                return cls(files.name, mark, rows)
        return cls(files.name, mark)

    def write(self, setup: Setup) -> None:
        """Write the scores, whole or not at all.

        Raises
        ------
        SaveError
        """
        content: dict[str, Any] = {
            "case": self.case,
            "files": self.files,
            "rows": {key: row.to_json() for key, row in self.rows.items()},
        }
        write_json(setup.record_file(self.case), content)

    def missing(self, setup: Setup, *, pictured: bool) -> list[int]:
        """Return the rows, counted from 0, that are still to be computed.

        Parameters
        ----------
        setup : Setup
            The study.
        pictured : bool
            Whether the case gets pictures, which must be there too.
        """
        return [
            number
            for number, key in enumerate(setup.keys)
            if key not in self.rows
            or (
                pictured
                and any(
                    not setup.picture_file(self.case, number, target).exists()
                    for target in setup.study.targets
                )
            )
        ]
