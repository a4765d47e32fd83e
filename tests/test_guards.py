"""Rules about the code itself: what may import what, where Blender may appear, what each module makes public."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import PACKAGE, REPOSITORY

MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
WORKER = PACKAGE / "simulation" / "worker"
OUTSIDE_BLENDER = [path for path in MODULES if WORKER not in path.parents]

SHARED_WITH_WORKER = [
    "visionsim", "visionsim.errors", "visionsim.types", "visionsim.files", "visionsim.cameras", "visionsim.simulation",
    "visionsim.simulation.config",
    "visionsim.simulation.copies", "visionsim.simulation.protocol", "visionsim.simulation.passes",
]  # fmt: skip
"""What the worker may import of us."""

BLENDER = {"bpy", "mathutils", "bmesh", "gpu", "cycles", "_cycles", "addon_utils", "bl_ui"}

MAY_IMPORT = {
    "errors": set(),
    "types": set(),
    "files": set(),
    "optional": set(),
    "parallel": set(),
    "color": set(),
    "colorize": {"color"},
    "cameras": set(),
    "io": {"color"},
    "emulate": {"color"},
    "dataset": {"io", "cameras"},
    "exports": {"dataset", "io", "cameras", "color", "optional"},
    "interpolate": {"io", "cameras"},
    "verify": {"dataset", "io", "cameras", "parallel"},
    "simulation": {"verify", "dataset", "io", "cameras", "colorize"},
    "viewer": {"dataset", "io", "cameras", "colorize"},
    "cli": {
        "viewer",
        "simulation",
        "verify",
        "exports",
        "emulate",
        "interpolate",
        "dataset",
        "io",
        "cameras",
        "color",
        "colorize",
    },
    "__main__": {"cli"},
}
"""Part of the package -> other parts it may import, besides errors, types and files, and the package itself."""


def name_of(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports_of(path: Path) -> set[str]:
    """Dotted names of all modules that a file imports, anywhere in it; `from a import b` gives a and a.b."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name_of(path).split(".")
                package = package if path.name == "__init__.py" else package[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [base])])
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def our_modules(names: set[str]) -> set[str]:
    known = {name_of(path) for path in MODULES}
    return {name for name in names if name in known}


def part_of(name: str) -> str:
    """`visionsim.io.exr` -> `io`; the package itself is the empty part."""
    return name.split(".")[1] if "." in name else ""


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_in_the_direction_of_the_layers(path):
    part = part_of(name_of(path))
    if not part:
        return
    assert part in MAY_IMPORT, f"{part} is a new part of the package: say above what it may import"
    allowed = {"", "errors", "types", "files", part} | MAY_IMPORT[part]
    imported = {part_of(name) for name in our_modules(imports_of(path))}
    assert imported <= allowed


@pytest.mark.parametrize("path", OUTSIDE_BLENDER, ids=name_of)
def test_nothing_outside_the_worker_imports_blender_or_the_worker(path):
    imported = imports_of(path)
    assert not {name.split(".")[0] for name in imported} & BLENDER
    assert not {name for name in imported if name.startswith("visionsim.simulation.worker")}


WORKER_MODULES = [path for path in MODULES if WORKER in path.parents]


@pytest.mark.parametrize("path", WORKER_MODULES, ids=name_of)
def test_worker_imports_nothing_that_blender_may_lack(path):
    imported = imports_of(path)
    tops = {name.split(".")[0] for name in imported} - {"visionsim"}
    assert tops <= set(sys.stdlib_module_names) | BLENDER | {"numpy"}
    ours = our_modules(imported)
    assert {name for name in ours if not name.startswith("visionsim.simulation.worker")} <= set(SHARED_WITH_WORKER)


LONELY = """
import importlib.abc
import sys

ALLOWED = sys.stdlib_module_names | {"visionsim", "numpy"}


class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in ALLOWED:
            raise ImportError(f"{name} is not there inside Blender")
        return None


sys.meta_path.insert(0, Refuse())
for name in sys.argv[1:]:
    __import__(name)
"""


@pytest.mark.parametrize("name", SHARED_WITH_WORKER)
def test_module_shared_with_the_worker_needs_only_numpy(name):
    command = [sys.executable, "-W", "error", "-c", LONELY, name]
    ran = subprocess.run(command, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_refusal_of_other_packages_really_refuses():
    command = [sys.executable, "-c", LONELY, "visionsim.io.exr"]
    ran = subprocess.run(command, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=False)
    assert ran.returncode != 0 and "OpenEXR is not there" in ran.stderr


@pytest.mark.parametrize(
    "name", ["visionsim", "visionsim.simulation", "visionsim.errors", "visionsim.simulation.config"]
)
def test_module_that_every_start_imports_does_not_load_numpy(name):
    code = f"import sys, {name}; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(REPOSITORY)}, check=True)


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path in WORKER_MODULES or name_of(path) in SHARED_WITH_WORKER],
    ids=name_of,
)
def test_code_that_runs_inside_blender_is_python_3_10(path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))


def defined_by(tree: ast.Module) -> set[str]:
    """Names that a module defines itself, imports not counted."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def imported_by(tree: ast.Module) -> set[str]:
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}


def public_names(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return list(ast.literal_eval(node.value))
    return None


@pytest.mark.parametrize("path", OUTSIDE_BLENDER, ids=name_of)
def test_all_names_what_the_module_defines(path):
    tree = tree_of(path)
    public, defined = public_names(tree), defined_by(tree)
    if path.name == "__init__.py" and public is None:
        assert not {name for name in defined if not name.startswith("_")}
        return
    if path.name == "__main__.py" or any(part.startswith("_") for part in Path(name_of(path).replace(".", "/")).parts):
        return  # Private to their folder.
    assert public is not None, "no __all__"
    assert len(public) == len(set(public))
    if path.name != "__init__.py":  # Those may name what they load lazily.
        # The command line offers some names a second time, where its users look for them (RenderConfig).
        assert set(public) <= (defined | imported_by(tree) if part_of(name_of(path)) == "cli" else defined)
    assert not [name for name in public if name.startswith("_") and name != "__version__"]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_library_never_prints(path):
    calls = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    assert not [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is_for(path):
    assert (ast.get_docstring(tree_of(path)) or "").strip()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_exception_is_caught_unnamed(path):
    assert not [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ExceptHandler) and node.type is None]


def test_every_exception_is_in_the_tree_of_the_docstring():
    from visionsim import errors

    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.VisionsimError)
        assert name in (errors.__doc__ or "")


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("RequestError", ValueError),
        ("InputNotFound", FileNotFoundError),
        ("OutputNotWritable", OSError),
        ("BlenderNotFound", FileNotFoundError),
        ("WorkerError", RuntimeError),
        ("DataError", ValueError),
        ("ShapeError", ValueError),
    ],
)
def test_exception_is_also_the_builtin_a_caller_expects(name, builtin):
    from visionsim import errors

    assert issubclass(getattr(errors, name), builtin)
