"""docs/api.md is up to date; every public method has a docstring that says units and frames."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

from tests.helpers import REPOSITORY


@cache
def script() -> ModuleType:
    """scripts/api_reference.py"""
    spec = importlib.util.spec_from_file_location("api_reference", REPOSITORY / "scripts" / "api_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Dataclasses ask for it.
    spec.loader.exec_module(module)
    return module


@cache
def public() -> list[Any]:
    return list(script().public_api())


def functions() -> list[Any]:
    """Methods, properties and functions."""
    found = [item for item in public() if hasattr(item.node, "args")]
    assert len(found) > 40
    return found


SAYS = {
    "timeout": "seconds",
    "frame|frames|frame_start|frame_end": r"authored frame|stretched\)? frame|\(stretched\)|current frame",
    "start|end": "authored frame",
    "shift": "whole frames",
    "scale": "ratio",
    "height|width": "pixels",
    "location|look_at": r"\(3,\), world, scene units",
    "rotation": "camera-to-world",
    "c2w|matrix": r"c2w, \(4, 4\)|\(N, 4, 4\), rigid, world, scene units",
    "angle": "radians",
}
"""Names of parameters -> what the docstring must say of them."""

WITHOUT_UNIT = set("jobs threads frame_step max_samples adaptive_threshold seed bit_depth".split())
"""Numbers that count something, or compare."""

RESULTS = {
    "float": "per second|Seconds",
    "FloatImage": r"\(H, W.*float32, (scene units|unit vectors in the camera's frame|pixels \(right, down\))",
    "NDArray[np.int64]": "stretched",
    "range": "stretched",
    "tuple[int, int]": "stretched",
    "Matrix": r"c2w, \(4, 4\).*scene units|K, \(3, 3\).*pixels|"
    r"c2w of all, \(N, 4, 4\).*scene units|K of all, \(N, 3, 3\).*pixels|\(N,\), (scene units|seconds)",
    "tuple[np.ndarray, np.ndarray]": r"\(3,\) each, world, scene units",
}
"""Types of results -> what the docstring must say of them."""


def words(item: Any, docstrings: dict[str, str]) -> str:
    """Its docstring, and those that it refers to by `name`."""
    owner = item.name.partition(".")[0]
    names = re.findall(r"`([\w.]+)`", item.docstring)
    referred = [docstrings.get(full, "") for name in names for full in (name, f"{owner}.{name}")]
    return " ".join(" ".join([item.docstring, *referred]).split())


def test_reference_is_up_to_date() -> None:
    found = script().TARGET.read_text(encoding="utf-8")
    assert found == script().reference(), "rewrite it with: python scripts/api_reference.py"


def test_reference_has_all_there_is() -> None:
    """The script reads sources; this asks the classes themselves."""
    from visionsim.dataset.reader import Dataset, Sample
    from visionsim.errors import __all__ as errors
    from visionsim.simulation.blender import BlenderClient, BlenderClients
    from visionsim.simulation.client_pool import AsyncResult, ClientPool
    from visionsim.simulation.config import RenderConfig
    from visionsim.simulation.handle import RenderHandle

    page = script().reference()
    for kind in (BlenderClient, BlenderClients, ClientPool, AsyncResult, RenderHandle, Dataset, Sample):
        names = [name for name in vars(kind) if not name.startswith("_")]
        assert names
        assert [name for name in names if f"\n#### {kind.__name__}.{name}\n" not in page] == []
    assert [name for name in RenderConfig.__dataclass_fields__ if f"| `{name}` |" not in page] == []
    assert [name for name in errors if name not in page] == []


def test_everything_public_has_a_docstring() -> None:
    short = [item.name for item in public() if len(item.docstring.split()) < 3]
    assert len(public()) > 80 and set(short) <= {"ClientPool.apply"} and all(item.docstring for item in public())


def test_docstrings_say_units_and_frames() -> None:
    docstrings = {item.name: item.docstring for item in public()}
    assert [wrong for item in functions() for wrong in unsaid(item, words(item, docstrings))] == []


def unsaid(item: Any, said: str) -> Iterator[str]:
    """What its docstring should say and does not."""
    for name, annotation in item.parameters.items():
        expected = next((text for names, text in SAYS.items() if re.fullmatch(names, name)), None)
        if expected is not None:
            if not re.search(expected, said):
                yield f"{item.name}({name}): the docstring does not say {expected}"
        elif re.search(r"\b(int|float|ArrayLike|ndarray)\b", annotation) and name not in WITHOUT_UNIT:
            yield f"{item.name}({name}): say above which unit it has"
    if item.result in RESULTS:
        if not re.search(RESULTS[item.result], said):
            yield f"{item.name}: the docstring does not say what it returns"
    elif re.search(r"\b(float|range|Matrix|ndarray)\b", item.result):
        yield f"{item.name}: say above what it returns"


def test_typed_user_script_uses_everything() -> None:
    text = (REPOSITORY / "tests" / "typing" / "user_script.py").read_text(encoding="utf-8")
    used = set(re.findall(r"\w+", text))
    assert [item.name for item in functions() if item.name.rpartition(".")[2] not in used] == []
