"""Write docs/api.md, the reference of the Python API, from the docstrings: `python scripts/api_reference.py`."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TARGET = REPOSITORY / "docs" / "api.md"

API = {
    "visionsim.simulation.blender": ["BlenderClient", "BlenderClients", "render_job"],
    "visionsim.simulation.session": ["Session"],
    "visionsim.simulation.client_pool": ["ClientPool", "AsyncResult"],
    "visionsim.simulation.handle": ["RenderHandle"],
    "visionsim.dataset.reader": ["Dataset", "Sample"],
    "visionsim.dataset.torch": ["TorchDataset", "collate"],
}
"""Module -> its classes and functions, in the order of the page."""

RECORDS = {
    "visionsim.simulation.config": ["RenderConfig"],
    "visionsim.simulation.report": ["RunReport", "SequenceReport", "Failure"],
    "visionsim.dataset.reader": ["Label"],
}
"""Module -> its dataclasses."""

HEAD = """# API reference

Made from the docstrings by `python scripts/api_reference.py`. [python.md](python.md) is where to begin with driving
Blender, [loading.md](loading.md) with reading datasets; [guides/](guides/README.md) has scripts that run.

Frames are those of the stretched timeline, as in file names, unless *authored frame* is said; the two are the same
without `move_keyframes`. Poses are c2w (camera-to-world) and have no scale: +X right, +Y up, the camera looks along -Z.
Lengths are scene units, angles radians, times seconds, sizes pixels: [conventions.md](conventions.md).
"""

SECTION = re.compile(r"    # ([A-Z].*)\.$")
"""A comment in a class that says what the methods below it are about."""

ENTRY = re.compile(r"([\w, ]+): (.*)")
"""In a docstring's `Args` or `Raises`."""


@dataclass(frozen=True)
class Public:
    """A public class, method, property or function."""

    name: str
    """As its users call it: `BlenderClient.spawn`."""
    node: ast.ClassDef | ast.FunctionDef
    section: str = ""
    """What the methods around it are about, as the source says."""

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.node) or ""

    @property
    def marks(self) -> set[str]:
        """Its decorators."""
        return set(map(ast.unparse, self.node.decorator_list))

    @property
    def parameters(self) -> dict[str, str]:
        """Name -> annotation, without self."""
        assert isinstance(self.node, ast.FunctionDef)
        given = self.node.args
        named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        return {arg.arg: written(arg.annotation) for arg in named if arg.annotation is not None}

    @property
    def result(self) -> str:
        """Annotation of what is returned."""
        assert isinstance(self.node, ast.FunctionDef) and self.node.returns is not None, self.name
        result = written(self.node.returns)
        if "contextmanager" in self.marks:
            result = f"AbstractContextManager[{result.removeprefix('Iterator[').removesuffix(']')}]"
        return re.sub(r"\bClient\b", self.name.partition(".")[0], result)  # The type variable: the class itself.


def written(node: ast.expr) -> str:
    """As we write it."""
    return ast.unparse(node).replace("'", '"')


@cache
def source_of(module: str) -> str:
    return (REPOSITORY / Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8")


def definition(module: str, name: str) -> ast.ClassDef | ast.FunctionDef:
    for node in ast.parse(source_of(module)).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node
    raise LookupError(f"{module} does not define {name}")


def members(module: str, node: ast.ClassDef) -> Iterator[Public]:
    """Public methods and properties that a class defines itself."""
    lines = source_of(module).splitlines()
    headings = {number: match[1] for number, line in enumerate(lines, 1) if (match := SECTION.match(line))}
    for child in node.body:
        if isinstance(child, ast.FunctionDef) and not child.name.startswith("_"):
            if any(ast.unparse(decorator) == "overload" for decorator in child.decorator_list):
                continue  # What implements it comes last, and has the docstring.
            above = [number for number in headings if node.lineno < number < child.lineno]
            yield Public(f"{node.name}.{child.name}", child, headings[max(above)] if above else "")


def public_api() -> Iterator[Public]:
    """All that the page describes, but for dataclasses and errors."""
    for module, names in API.items():
        for name in names:
            node = definition(module, name)
            yield Public(name, node)
            if isinstance(node, ast.ClassDef):
                yield from members(module, node)


def described(body: list[ast.stmt]) -> Iterator[tuple[ast.Assign | ast.AnnAssign, str]]:
    """Assignments that have a docstring below them."""
    for statement, below in pairwise(body):
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(below, ast.Expr):
            if isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
                yield statement, " ".join(below.value.value.split())


def signature(item: Public) -> str:
    """Of a function, as it is called: one parameter a line if it is long."""
    assert isinstance(item.node, ast.FunctionDef)
    if "property" in item.marks:
        return f"{item.name}: {item.result}"
    given = item.node.args
    positional = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults))
    parts = [parameter(arg, default) for arg, default in zip(positional, [*defaults, *given.defaults], strict=True)]
    if given.posonlyargs:
        parts.insert(len(given.posonlyargs), "/")
    if positional and positional[0].arg in ("self", "cls"):
        del parts[0]
    if given.vararg is not None:
        parts.append("*" + parameter(given.vararg))
    elif given.kwonlyargs:
        parts.append("*")
    parts += [parameter(arg, default) for arg, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    if given.kwarg is not None:
        parts.append("**" + parameter(given.kwarg))
    line = f"{item.name}({', '.join(parts)}) -> {item.result}"
    if len(line) <= 100:
        return line
    return "\n".join([f"{item.name}(", *(f"    {part}," for part in parts), f") -> {item.result}"])


def parameter(arg: ast.arg, default: ast.expr | None = None) -> str:
    text = arg.arg if arg.annotation is None else f"{arg.arg}: {written(arg.annotation)}"
    return text if default is None else f"{text} = {written(default)}"


def markdown(docstring: str) -> Iterator[str]:
    """Lines of a docstring; its sections become lists."""
    text, *sections = re.split(r"^(Args|Returns|Raises):\n", docstring, flags=re.MULTILINE)
    yield from ["", *text.strip().splitlines()]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        body = re.sub(r"\n {5,}", " ", textwrap.indent(textwrap.dedent(body).rstrip(), "    "))  # One line an entry.
        entries = [line.strip() for line in body.splitlines()]
        if title == "Returns":
            yield from ["", f"Returns: {' '.join(entries)}"]
            continue
        yield from ["", {"Args": "Arguments:", "Raises": "Raises:"}[title], ""]
        for entry in entries:
            match = ENTRY.fullmatch(entry)
            assert match is not None, f"not `name: what it is`: {entry}"
            names = ", ".join(f"`{name}`" for name in match[1].split(", "))
            yield f"* {names}: {match[2]}"


def class_page(module: str, node: ast.ClassDef) -> Iterator[str]:
    yield from ["", f"## {node.name}", "", f"`from {module} import {node.name}`"]
    yield from markdown(Public(node.name, node).docstring)
    bases = [ast.unparse(base) for base in node.bases if not isinstance(base, ast.Subscript)]
    if bases:
        yield from ["", f"It has all methods of {' and '.join(f'`{base}`' for base in bases)}, and these:"]
    for attribute, text in attributes(node):
        yield from ["", f"#### {attribute}", "", text]
    section = ""
    for item in members(module, node):
        if item.section != section:
            section = item.section
            yield from ["", f"### {section}"]
        yield from ["", f"#### {item.name}", "", "```python", signature(item), "```"]
        yield from markdown(item.docstring)


def attributes(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Public ones that `__init__` sets, and what they are."""
    for child in node.body:
        if isinstance(child, ast.FunctionDef) and child.name == "__init__":
            for assigned, text in described(child.body):
                target = assigned.target if isinstance(assigned, ast.AnnAssign) else assigned.targets[0]
                if isinstance(target, ast.Attribute) and not target.attr.startswith("_"):
                    yield f"{node.name}.{target.attr}", text


def record_page(module: str, node: ast.ClassDef) -> Iterator[str]:
    """A dataclass, as a table of its fields."""
    yield from ["", f"## {node.name}", "", f"`from {module} import {node.name}`"]
    yield from markdown(Public(node.name, node).docstring)
    yield from ["", "| Field | Type | Default | |", "| --- | --- | --- | --- |"]
    texts = {
        ast.unparse(field.target): text for field, text in described(node.body) if isinstance(field, ast.AnnAssign)
    }
    for field in node.body:
        if isinstance(field, ast.AnnAssign):
            name, kind = ast.unparse(field.target), written(field.annotation).replace("|", "\\|")
            default = "" if field.value is None else f"`{default_of(field.value)}`"
            yield f"| `{name}` | {kind} | {default} | {texts.get(name, '')} |"
    for item in members(module, node):
        if item.docstring:
            name, kind = item.name.partition(".")[2], item.result.replace("|", "\\|")
            yield f"| `{name}` | {kind} | | {item.docstring} |"


def default_of(value: ast.expr) -> str:
    """What a field is if it is not given; of `field(default_factory=...)` what that returns."""
    text = written(value)
    made = re.fullmatch(r"field\(default_factory=(?:lambda: )?(.*)\)", text)
    if made is None:
        return text
    return {"list": "[]"}.get(made[1], made[1])


def reference() -> str:
    """The page."""
    lines = HEAD.splitlines()
    for module, names in API.items():
        for name in names:
            node = definition(module, name)
            if isinstance(node, ast.ClassDef):
                lines += class_page(module, node)
            else:
                item = Public(name, node)
                lines += [
                    "",
                    f"## {name}",
                    "",
                    f"`from {module} import {name}`",
                    "",
                    "```python",
                    signature(item),
                    "```",
                ]
                lines += markdown(item.docstring)
    for module, names in RECORDS.items():
        for name in names:
            node = definition(module, name)
            assert isinstance(node, ast.ClassDef)
            lines += record_page(module, node)
    tree = ast.get_docstring(ast.parse(source_of("visionsim.errors"))) or ""
    summary, _, drawing = tree.partition("\n\n")
    lines += [
        "",
        "## Errors",
        "",
        f"{summary} They are in `visionsim.errors`.",
        "",
        "```",
        *drawing.splitlines(),
        "```",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    TARGET.write_text(reference(), encoding="utf-8")
    print(f"Wrote {TARGET}")


if __name__ == "__main__":
    main()
