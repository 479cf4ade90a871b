"""The contracts of the package as a whole: what imports what, what is public, what ships."""

from __future__ import annotations

import ast
import inspect
import re
import runpy
import subprocess
import sys
import tomllib
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

import napari_gliocam

ROOT = Path(__file__).parents[1]
SOURCE = Path(napari_gliocam.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))

HEAVY = {
    *("torch", "torchvision", "monai", "lightning", "safetensors"),
    *("scipy", "skimage", "nibabel", "numpy"),
    *("napari", "npe2", "qtpy", "superqt", "magicgui", "vispy", "PyQt6", "PySide6"),
}
WINDOW = {"napari", "qtpy", "superqt", "magicgui", "vispy", "PyQt5", "PyQt6", "PySide2", "PySide6"}


def each(modules):
    """One test a module, called by its path."""
    ids = [str(path.relative_to(SOURCE)) for path in modules]
    return pytest.mark.parametrize("path", modules, ids=ids)


UI = [path for path in MODULES if SOURCE / "ui" in path.parents]
CORE = [path for path in MODULES if path not in UI]
every_module = each(MODULES)


def loaded_by(code: str) -> set[str]:
    """Top-level packages that a fresh Python has loaded after some code."""
    line = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def imported_by(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


# ---- imports


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded_by("import napari_gliocam") & HEAVY


def test_finding_and_reading_the_manifest_loads_no_torch():
    loaded = loaded_by(
        "from npe2 import PluginManifest\n"
        "manifest = PluginManifest.from_distribution('napari-gliocam')\n"
        "assert manifest.name == 'napari-gliocam'"
    )
    assert not loaded & {"torch", "torchvision", "napari", "scipy", "skimage", "monai", "lightning"}


def test_the_reader_loads_no_torch():
    assert "torch" not in loaded_by("import napari_gliocam.ui.plugin.reader")


def test_reading_a_case_loads_neither_torch_nor_a_window():
    assert not loaded_by("import napari_gliocam.io, napari_gliocam.threshold") & (
        WINDOW | {"torch"}
    )


def test_segmenting_loads_no_window():
    rooms = ("segmentation", "nets.gliocam", "phantom.sample", "train.stages.aggregator")
    code = "; ".join(f"import napari_gliocam.{room}" for room in rooms)
    assert not loaded_by(code) & WINDOW


@each(CORE)
def test_only_the_user_interface_imports_napari_and_qt(path):
    tops = {name.partition(".")[0] for name in imported_by(parse(path))}
    assert not tops & WINDOW


@each(CORE)
def test_nothing_but_the_commands_that_open_it_imports_the_user_interface(path):
    ui = {name for name in imported_by(parse(path)) if name.startswith("napari_gliocam.ui")}
    if path == SOURCE / "cli" / "window.py":
        ui = {name for name in ui if not name.startswith("napari_gliocam.ui.demo")}
    assert not ui


#: Distributions whose import has another name.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "skimage": "scikit-image",
    "pydensecrf": "pydensecrf2",
}


#: Known to type checkers only; no distribution brings it.
TYPES_ONLY = {"_typeshed"}


def test_every_import_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = {canonical(line) for line in project["dependencies"]}
    extra = {
        canonical(line)
        for name in ("crf", "train", "cluster", "prepare", "dicom")
        for line in project["optional-dependencies"][name]
    }
    used = {}
    for path in MODULES:
        for name in imported_by(parse(path)):
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names | TYPES_ONLY | {"napari_gliocam"}:
                used.setdefault(canonical(DISTRIBUTIONS.get(top, top)), set()).add(path)
    assert not used.keys() - base - extra, "imported and not declared"
    assert not base - used.keys(), "declared and not imported"
    in_core = {name: paths for name, paths in used.items() if name in extra - base}
    for name, paths in in_core.items():
        rooms = {path.relative_to(SOURCE).parts[:2] for path in paths}
        homes = {
            "pydensecrf2": {"refine"},
            "distributed": {"cli"},
            "dask": {"cli"},
            "pydicom": {"prepare"},
        }
        wanted = homes.get(name, {"train"})
        assert {room[0] for room in rooms} <= wanted, f"{name} is an extra"


def canonical(line: str) -> str:
    """Return the name of a distribution in a requirement, as PyPI compares them."""
    name = re.match(r"[A-Za-z0-9._-]+", line)
    return re.sub(r"[-_.]+", "-", name[0]).lower() if name else ""


@every_module
def test_every_parameter_is_described_in_words(path):
    for node in ast.walk(parse(path)):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        _, _, section = (ast.get_docstring(node) or "").partition("Parameters\n----------\n")
        lines = re.split(r"\n\n\w+\n-{3,}\n", section)[0].splitlines()
        bare = [
            line
            for line, after in pairwise([*lines, ""])
            if line and line[0] != " " and not after.startswith("    ")
        ]
        assert not bare, f"line {node.lineno}, {node.name}: {bare}"


def rooms_of_the_architecture() -> dict[str, int]:
    """Return each room's floor; rooms on one line of the list share a floor."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    lines = re.findall(r"^- ((?:`[a-z_.]+`(?:, )?)+):", text, re.MULTILINE)
    return {room: n for n, line in enumerate(lines) for room in re.findall(r"`([^`]+)`", line)}


ROOMS = rooms_of_the_architecture()


def module_of(path: Path) -> str:
    """Return the dotted name of a source file."""
    return ".".join(("napari_gliocam", *path.relative_to(SOURCE).with_suffix("").parts))


def room_of(module: str) -> str | None:
    """Return the room of one of our modules; None for the package itself and its public names."""
    inside = module.removeprefix("napari_gliocam").lstrip(".")
    found = [room for room in ROOMS if inside == room or inside.startswith(f"{room}.")]
    return max(found, key=len, default=None)


def test_every_module_has_a_room():
    homeless = {
        str(path.relative_to(SOURCE)) for path in MODULES if room_of(module_of(path)) is None
    }
    assert homeless <= {"__init__.py", "__main__.py", "ui/__init__.py"}


@every_module
def test_imports_run_one_way_between_rooms(path):
    own = room_of(module_of(path))
    used = {room_of(n) for n in imported_by(parse(path)) if n.startswith("napari_gliocam.")}
    climbing = {r for r in used - {own, None} if own is not None and ROOMS[r] >= ROOMS[own]}
    assert not climbing, f"{own} imports {climbing}, which lie on its floor or above"


@each(UI)
def test_no_module_of_the_user_interface_imports_torch_when_it_is_imported(path):
    tops = {name.partition(".")[0] for name in imported_by(at_import(parse(path)))}
    assert not tops & {"torch", "torchvision", "safetensors"}


def at_import(tree: ast.Module) -> ast.Module:
    """What runs when a module is imported: no functions, nothing for the type checker alone."""
    body = [
        node
        for node in tree.body
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]
    for node in body:
        if isinstance(node, ast.ClassDef):
            node.body = [n for n in node.body if not isinstance(n, ast.FunctionDef)]
    return ast.Module(body, [])


@each([path for path in MODULES if path != SOURCE / "ui" / "viewer" / "layers.py"])
def test_only_one_module_touches_the_layers_of_a_viewer(path):
    adding = re.compile(r"add_(image|labels|layer|points|shapes|surface|vectors|tracks)$")
    for node in ast.walk(parse(path)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, owner = node.func.attr, node.func.value
        of_viewer = isinstance(owner, ast.Name | ast.Attribute) and ast.unparse(owner).endswith(
            "viewer"
        )
        assert not (of_viewer and adding.match(name)), f"line {node.lineno}: {ast.unparse(node)}"
        of_layers = ast.unparse(owner).endswith("viewer.layers")
        changes = name in {"append", "insert", "remove", "pop", "clear", "extend", "move"}
        assert not (of_layers and changes), f"line {node.lineno}: {ast.unparse(node)}"


# ---- what is public


@pytest.mark.parametrize("name", napari_gliocam._PUBLIC)
def test_public_names_resolve(name):
    import_module(f"napari_gliocam.{napari_gliocam._PUBLIC[name]}")
    for _ in range(2):  # also when the module of that name has been imported
        assert callable(getattr(napari_gliocam, name))
    assert name in dir(napari_gliocam)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = napari_gliocam.nonsense


@every_module
def test_everything_public_is_described(path):
    tree = parse(path)
    nameless = [] if ast.get_docstring(tree) or path.stat().st_size == 0 else ["the module"]
    for owner in [tree, *(n for n in tree.body if isinstance(n, ast.ClassDef))]:
        private = isinstance(owner, ast.ClassDef) and owner.name.startswith("_")
        for node in [] if private else owner.body:
            kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
            if not isinstance(node, kinds) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node) and not _inherits_its_description(node):
                nameless.append(node.name)
    assert not nameless


def _inherits_its_description(node: ast.AST) -> bool:
    """``forward`` of a torch module and Qt's event methods are described where they are from."""
    if not isinstance(node, ast.FunctionDef):
        return False
    setter = any(ast.unparse(decorator).endswith(".setter") for decorator in node.decorator_list)
    return (
        setter or node.name == "forward" or re.fullmatch(r"[a-z]+[A-Z]\w*", node.name) is not None
    )


@every_module
def test_every_function_is_annotated(path):
    missing = []
    for node in ast.walk(parse(path)):
        if not isinstance(node, ast.FunctionDef):
            continue
        every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        bare = [
            a.arg for a in every if a.annotation is None and a.arg not in {"self", "cls", "mcs"}
        ]
        if bare or node.returns is None:
            missing.append(f"{node.name} (line {node.lineno})")
    assert not missing


# ---- what ships


def test_the_manifest_is_valid_and_every_command_can_be_imported():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(SOURCE / "napari.yaml")
    manifest.validate_imports()
    assert manifest.name == "napari-gliocam"


def test_the_manifest_is_seen_from_the_top():
    link = ROOT / "napari.yaml"
    if not link.exists():
        pytest.skip("not a source tree")
    assert link.read_bytes() == (SOURCE / "napari.yaml").read_bytes()


def test_napari_finds_the_manifest():
    (entry,) = entry_points(group="napari.manifest", name="napari-gliocam")
    module, _, file = entry.value.partition(":")
    assert files(module).joinpath(file).is_file()


def test_the_bundle_ships_and_says_where_it_comes_from():
    from napari_gliocam.nets.bundle_info import bundled_path, read_bundle_info

    info = read_bundle_info()
    assert info.origin
    assert info.licence
    size = sum(path.stat().st_size for path in bundled_path().rglob("*") if path.is_file())
    assert size < 60e6


def test_the_base_install_brings_no_qt_binding_and_nothing_without_wheels():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = " ".join(project["dependencies"]).lower()
    for word in ("pyqt5", "pyqt6", "pyside", "[", "git+", "pydensecrf"):
        assert word not in base
    assert "qt" in " ".join(project["optional-dependencies"]["all"])


def test_public_functions_are_documented_with_their_parameters():
    for name in napari_gliocam._PUBLIC:
        thing = getattr(napari_gliocam, name)
        if inspect.isfunction(thing) and inspect.signature(thing).parameters:
            assert "Parameters" in (thing.__doc__ or ""), name


# ---- examples


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.stem)
def test_examples_run_as_they_are(script, tmp_path, monkeypatch, capsys):
    from napari_gliocam.phantom import make_phantom

    # The same phantom with fewer voxels, so that it takes seconds.
    small = partial(make_phantom, shape=(26, 120, 120), spacing=(6.0, 2.0, 2.0))
    monkeypatch.setattr(napari_gliocam, "make_phantom", small, raising=False)
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script), run_name="__main__")
    assert "phantom" in capsys.readouterr().out or script.stem.startswith("02")


def test_no_two_public_classes_share_a_name() -> None:
    homes: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(path.name)
    assert not {name: where for name, where in homes.items() if len(where) > 1}


def test_the_conda_recipe_has_the_version_and_the_dependencies_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    recipe = (ROOT / "packaging/conda/meta.yaml").read_text(encoding="utf-8")
    assert f'version = "{project["version"]}"' in recipe
    run = recipe.partition("  run:\n")[2].partition("\n\n")[0]
    listed = {line.strip("- ").replace(" ", "") for line in run.splitlines()}
    wanted = {re.sub("^torch>", "pytorch>", one) for one in project["dependencies"]}
    assert listed == wanted | {"python>={{python_min}}"}
