"""Rules about the code itself: what may import what, where Blender may appear, what each module makes public.

Each test looks at all modules that a rule is about, and fails with those that break it, by name.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import PACKAGE, REPOSITORY

MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
WORKER = PACKAGE / "simulation" / "worker"
OUTSIDE_BLENDER = [path for path in MODULES if WORKER not in path.parents]
WORKER_MODULES = [path for path in MODULES if WORKER in path.parents]

SHARED_WITH_WORKER = [
    "visionsim", "visionsim.errors", "visionsim.types", "visionsim.files", "visionsim.cameras", "visionsim.simulation",
    "visionsim.simulation.config",
    "visionsim.simulation.copies", "visionsim.simulation.protocol", "visionsim.simulation.passes",
    "visionsim.simulation.movers",
    "visionsim.simulation.visibility",
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
    "dataset": {"io", "cameras", "optional", "parallel"},
    "trajectory": {"io", "cameras"},
    "exports": {"dataset", "io", "cameras", "color", "optional", "parallel"},
    "interpolate": {"io", "cameras"},
    "verify": {"dataset", "io", "cameras", "parallel"},
    "simulation": {"verify", "dataset", "io", "cameras", "colorize", "parallel"},
    "preview": {"parallel", "optional", "simulation", "dataset", "io", "cameras", "colorize", "color"},
    "viewer": {"dataset", "io", "cameras", "colorize"},
    "cli": {
        "viewer",
        "preview",
        "exports",
        "simulation",
        "verify",
        "emulate",
        "interpolate",
        "trajectory",
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


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
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


KNOWN = {name_of(path) for path in MODULES}


def our_modules(names: set[str]) -> set[str]:
    return names & KNOWN


def broken(rule: dict[str, Any]) -> dict[str, Any]:
    """Module -> how it breaks a rule, of those that do."""
    return {name: how for name, how in rule.items() if how}


def part_of(name: str) -> str:
    """`visionsim.io.exr` -> `io`; the package itself is the empty part."""
    return name.split(".")[1] if "." in name else ""


def test_imports_go_in_the_direction_of_the_layers():
    wrong = {}
    for path in MODULES:
        part = part_of(name_of(path))
        if not part:
            continue
        assert part in MAY_IMPORT, f"{part} is a new part of the package: say above what it may import"
        allowed = {"", "errors", "types", "files", part} | MAY_IMPORT[part]
        wrong[name_of(path)] = {name for name in our_modules(imports_of(path)) if part_of(name) not in allowed}
    assert broken(wrong) == {}


def test_nothing_outside_the_worker_imports_blender_or_the_worker():
    def forbidden(name: str) -> bool:
        return name.split(".")[0] in BLENDER or name.startswith("visionsim.simulation.worker")

    wrong = {name_of(path): set(filter(forbidden, imports_of(path))) for path in OUTSIDE_BLENDER}
    assert len(wrong) > 80 and broken(wrong) == {}


def test_worker_imports_nothing_that_blender_may_lack():
    others = set(sys.stdlib_module_names) | BLENDER | {"numpy", "visionsim"}

    def lacking(name: str) -> bool:
        ours = name in KNOWN and not name.startswith("visionsim.simulation.worker")
        return name.split(".")[0] not in others or (ours and name not in SHARED_WITH_WORKER)

    wrong = {name_of(path): set(filter(lacking, imports_of(path))) for path in WORKER_MODULES}
    assert len(wrong) > 5 and broken(wrong) == {}


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
    for other in [other for other in sys.modules if other.startswith("visionsim")]:
        del sys.modules[other]  # Each of them is the first one.
    __import__(name)
"""


def start_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with our package and what is installed."""
    environment = {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_modules_shared_with_the_worker_need_only_numpy():
    ran = start_python("-W", "error", "-c", LONELY, *SHARED_WITH_WORKER)
    assert ran.returncode == 0, ran.stderr


def test_refusal_of_other_packages_really_refuses():
    ran = start_python("-c", LONELY, "visionsim.io.exr")
    assert ran.returncode != 0 and "OpenEXR is not there" in ran.stderr


def test_modules_that_every_start_imports_do_not_load_numpy():
    names = ["visionsim", "visionsim.simulation", "visionsim.errors", "visionsim.simulation.config"]
    code = "import sys\nfor name in sys.argv[1:]:\n    __import__(name)\n    assert 'numpy' not in sys.modules, name"
    ran = start_python("-c", code, *names)
    assert ran.returncode == 0, ran.stderr


def test_code_that_runs_inside_blender_is_python_3_10():
    for path in [path for path in MODULES if path in WORKER_MODULES or name_of(path) in SHARED_WITH_WORKER]:
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 10))


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


def test_all_names_what_the_module_defines():
    wrong = {name_of(path): wrong_in_all(path) for path in OUTSIDE_BLENDER}
    assert len(wrong) > 80 and broken(wrong) == {}


def wrong_in_all(path: Path) -> str:
    """What is wrong with a module's `__all__`, or nothing."""
    tree = tree_of(path)
    public, defined = public_names(tree), defined_by(tree)
    if path.name == "__init__.py" and public is None:
        return ", ".join(name for name in defined if not name.startswith("_"))
    if path.name == "__main__.py" or any(part.startswith("_") for part in Path(name_of(path).replace(".", "/")).parts):
        return ""  # Private to their folder.
    if public is None:
        return "no __all__"
    # The command line offers some names a second time, where its users look for them (RenderConfig).
    there = defined | imported_by(tree) if part_of(name_of(path)) == "cli" else defined
    wrong = [name for name in public if public.count(name) > 1 or (name.startswith("_") and name != "__version__")]
    if path.name != "__init__.py":  # Those may name what they load lazily.
        wrong += set(public) - there
    return ", ".join(wrong)


def test_library_never_prints():
    wrong = {}
    for path in MODULES:
        calls = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
        prints = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
        wrong[name_of(path)] = prints
    assert broken(wrong) == {}


def test_every_module_says_what_it_is_for():
    assert [name_of(path) for path in MODULES if not (ast.get_docstring(tree_of(path)) or "").strip()] == []


def test_no_exception_is_caught_unnamed():
    handlers = {
        name_of(path): [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ExceptHandler)]
        for path in MODULES
    }
    assert broken({name: [node.lineno for node in of if node.type is None] for name, of in handlers.items()}) == {}


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


def test_cores_are_counted_in_one_place_that_knows_containers():
    """`visionsim doctor` also tells how many there are besides ours."""
    counting = {name_of(path) for path in MODULES if re.search(r"sched_getaffinity|cpu_count", path.read_text())}
    assert counting == {"visionsim.parallel", "visionsim.simulation.doctor"}


def test_what_is_kept_of_files_is_kept_by_their_state():
    """A cache by path alone gives old data when a folder was written anew in the same process."""
    wrong = {
        f"{name_of(path)}.{node.name}"
        for path in MODULES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef)
        and any("cache" in ast.unparse(d) and "cached_property" not in ast.unparse(d) for d in node.decorator_list)
        and any(argument.annotation and "Path" in ast.unparse(argument.annotation) for argument in node.args.args)
        and not any(argument.annotation and "State" in ast.unparse(argument.annotation) for argument in node.args.args)
    }
    assert wrong == set()
