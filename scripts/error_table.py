"""Print how exact the ground truth is: every closed-form scene, with every Blender that is named.

    python scripts/error_table.py
    python scripts/error_table.py --blender PYTHON-WITH-BPY --blender /usr/bin/blender --markdown

Truth is computed in double precision without Blender (`tests/reference/raycast.py`). Exits 1 if a limit is passed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.render.errors import COLUMNS, Errors, measure, render_all, version_of
from tests.render.scenes import FAMILY, scene
from tests.render.scripts import Blender


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--blender", action="append", metavar="PATH", help="a Python that has bpy, or a blender; default: this Python"
    )
    parser.add_argument(
        "--scene", action="append", choices=list(FAMILY), metavar="NAME", help="only this scene; repeatable"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document")
    form.add_argument("--markdown", action="store_true", help="tables for the docs")
    arguments = parser.parse_args()
    names = arguments.scene or list(FAMILY)
    blocks: dict[str, dict[str, Errors]] = {}
    for executable in arguments.blender or [None]:
        print(f"Rendering {len(names)} scenes with {executable or sys.executable} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="visionsim-proof-") as folder, Blender(executable) as scripts:
            rendered = render_all({name: scene(name) for name in names}, Path(folder) / "all", executable, scripts)
            errors = {name: measure(result) for name, result in rendered.items()}
            version = version_of(rendered)
        blocks[version] = errors
        if not (arguments.json or arguments.markdown):
            show(version, errors)
    if arguments.json:
        print(json.dumps(document(blocks), indent=1))
    elif arguments.markdown:
        print("# Errors of the ground truth\n\nMade by `make proof-docs`; see [ground-truth.md](ground-truth.md).\n")
        print("\n".join(markdown(blocks)))
    else:
        show_limits()
    faults = [
        f"Blender {version}, {name}: {COLUMNS[column].title} is {number(getattr(row, column))}, at most "
        f"{COLUMNS[column].limit:g}: {COLUMNS[column].meaning}. {' '.join(row.remarks)}"
        for version, errors in blocks.items()
        for name, row in errors.items()
        for column in row.beyond()
    ]
    print("\n".join(faults) or "All errors are within their limits.", file=sys.stderr)
    return 1 if faults else 0


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value == int(value) and value < 1e4 else f"{value:.1e}".replace("e-0", "e-")


def show(version: str, errors: dict[str, Errors]) -> None:
    table = Table("scene", title=f"Blender {version}", title_justify="left", header_style="bold")
    for column in COLUMNS.values():
        table.add_column(column.title, justify="right")
    for name, row in errors.items():
        beyond = row.beyond()
        cells = [number(getattr(row, field)) for field in COLUMNS]
        cells = [f"[bold red]{cell}[/]" if f in beyond else cell for f, cell in zip(COLUMNS, cells, strict=True)]
        table.add_row(name, *cells)
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    for name, row in errors.items():
        if row.refused is not None:
            console.print(f"{name}: {what_is_refused(row)}: {row.refused}", highlight=False)


def what_is_refused(row: Errors) -> str:
    return "flow is refused" if row.depth is not None else "refused"


def show_limits() -> None:
    table = Table("column", "at most", "what it is")
    for column in COLUMNS.values():
        table.add_row(column.title, f"{column.limit:g}", column.meaning)
    Console().print(table)


def markdown(blocks: dict[str, dict[str, Errors]]) -> Iterator[str]:
    """Limits, the worst of each Blender, then one table for each Blender."""
    yield "| Column | At most | What it is |\n| --- | --- | --- |"
    for column in COLUMNS.values():
        yield f"| {column.title} | {column.limit:g} | {column.meaning} |"
    yield "\n## Worst of all scenes\n"
    yield from heading("Blender")
    for version, errors in blocks.items():
        found = {name: [getattr(row, name) for row in errors.values()] for name in COLUMNS}
        worst = [max((value for value in found[name] if value is not None), default=None) for name in COLUMNS]
        yield f"| {version} | " + " | ".join(map(number, worst)) + " |"
    for version, errors in blocks.items():
        yield f"\n## Blender {version}\n"
        yield from heading("Scene")
        for name, row in errors.items():
            yield f"| {name} | " + " | ".join(number(getattr(row, column)) for column in COLUMNS) + " |"
        refused = {name: row for name, row in errors.items() if row.refused is not None}
        if refused:
            yield ""
        for name, row in refused.items():
            yield f"* {name}: {what_is_refused(row)}: {row.refused}"


def heading(first: str) -> Iterator[str]:
    yield f"| {first} | " + " | ".join(column.title for column in COLUMNS.values()) + " |"
    yield "| --- |" + " ---: |" * len(COLUMNS)


def document(blocks: dict[str, dict[str, Errors]]) -> dict[str, Any]:
    return {
        "columns": {name: dataclasses.asdict(column) for name, column in COLUMNS.items()},
        "blenders": {
            version: {name: {**dataclasses.asdict(row), "beyond": row.beyond()} for name, row in errors.items()}
            for version, errors in blocks.items()
        },
    }


if __name__ == "__main__":
    sys.exit(main())
