"""Show what was done, or with --dry-run what would be: tables on stdout, and the plan as JSON."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from visionsim.cli._console import say
from visionsim.cli._progress import counted, duration
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.plan import Plan, Probe, ProbedScene, SequencePlan, step_of
from visionsim.simulation.report import Failure, RunReport, SequenceReport, grouped

__all__ = ["plan_exit_code", "plan_json", "show_plan", "show_report"]

T = TypeVar("T", SequenceReport, SequencePlan)

MAX_SEQUENCES = 20
"""With more of them there is a row per scene."""
MAX_SCENES = 40
MAX_LINES = 20
"""Of warnings, and of failures."""


def stdout_console() -> Console:
    """As wide as the terminal; in a pipe as wide as it takes, so that no path is cut."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, width=10_000)
    return console


def show_report(report: RunReport, config: RenderConfig | None, console: Console | None = None) -> None:
    """The closing table of a run."""
    console = console or stdout_console()
    if report.sequences:
        console.print(report_table(report.sequences))
        console.print()
    aside = [failure for failure in report.failures if failure.set_aside]
    others = [failure for failure in report.failures if not failure.set_aside]
    for title, failures in (("Set aside", aside), ("Failed", others)):
        if failures:
            show_list(console, title, "red", failure_lines(failures))
            console.print()
    notes = grouped(report.findings)
    if notes:
        show_list(console, "Notes", "yellow", notes)
        console.print()
    rendered = sum(row.rendered for row in report.sequences)
    kept = sum(row.kept for row in report.sequences)
    failed = sum(row.failed for row in report.sequences)
    counts = [f"{counted(rendered, 'frame')} rendered", *([f"{kept} kept"] if kept else [])]
    retried = sum(row.retried for row in report.sequences)
    counts += [f"{failed} failed"] if failed else []
    counts += [f"{retried} tried again"] if retried else []
    if report.interrupted:
        label, style = "Interrupted", "bold yellow"
        tail = "; run the same command again to go on"
    elif report.failures:
        label, style, tail = "Finished with failures", "bold red", retry_advice(report.failures)
    else:
        label, style, tail = "Done", "bold green", ""
    say(console, f" after {duration(report.elapsed)}: {', '.join(counts)}{tail}", label=label, style=style)
    say(console, short_path(report.root), label="Data: ", style="bold")
    if config is not None and (rendered or report.failures):
        say(console, short_path(config.log_dir), label="Logs: ", style="bold")


def retry_advice(failures: Sequence[Failure]) -> str:
    """What the same command may achieve: it helps where the machine was to blame, not where request or scene are."""
    helps = [failure.again for failure in failures]
    if all(helps):
        return "; run the same command again to retry them"
    return "; run the same command again to retry some of them" if any(helps) else ""


def report_table(rows: Sequence[SequenceReport]) -> Table:
    by_scene = len(rows) > MAX_SEQUENCES
    groups = by_folder(rows) if by_scene else [[row] for row in rows]
    title, names = in_common([group[0].folder.parent if by_scene else group[0].folder for group in groups])
    table = new_table(title, *(["Sequences"] if by_scene else []), *COUNTS)
    for name, group in zip(names[:MAX_SCENES], groups, strict=False):
        table.add_row(Text(name), *([Text(str(len(group)))] if by_scene else []), *count_cells(group))
    if len(groups) > MAX_SCENES:
        table.add_row(f"and {len(groups) - MAX_SCENES} more; --json lists them all")
    if len(groups) > 1:
        sums = [*([Text(str(len(rows)))] if by_scene else []), *count_cells(rows)]
        table.add_row("In all", *sums, style="bold")
    return table


COUNTS = ("Frames", "Rendered", "Kept", "Failed", "s/frame")


def count_cells(rows: Iterable[SequenceReport]) -> list[Text]:
    """The cells under COUNTS."""
    rows = list(rows)
    rendered, failed = sum(row.rendered for row in rows), sum(row.failed for row in rows)
    cells = [sum(row.total for row in rows), rendered, sum(row.kept for row in rows), failed]
    texts = [Text(str(cell)) for cell in cells]
    if failed:
        texts[3].stylize("bold red")
    seconds = sum(row.seconds for row in rows)
    return [*texts, Text(f"{seconds / rendered:.2f}" if rendered else "-")]


def failure_lines(failures: Iterable[Failure]) -> list[str]:
    """One line for all frames of a sequence that failed for the same reason."""
    frames: dict[tuple[str, str], list[int]] = {}
    for failure in failures:
        frames.setdefault((failure.sequence or f"scene {failure.scene}", failure.message), []).extend(failure.frames)
    return [
        f"{what}{', ' + frame_ranges(numbers) if numbers else ''}: {message}"
        for (what, message), numbers in frames.items()
    ]


def frame_ranges(numbers: Iterable[int]) -> str:
    """`frame 7`, `frames 1-3, 7`."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    text = ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in runs[:8])
    more = f" and {len(runs) - 8} more ranges" if len(runs) > 8 else ""
    return f"frame{'' if text.isdigit() and not more else 's'} {text}{more}"


def show_plan(plan: Plan, console: Console | None = None) -> None:
    """What --dry-run found: the audit of each scene, the sequences, and how much it will be."""
    console = console or stdout_console()
    opened = [scene for scene in plan.scenes if scene.info is not None]
    if opened:
        table = new_table("Scene", "Camera", "Frames", "fps", "Device", left=2)
        for scene in opened[:MAX_SCENES]:
            assert scene.info is not None
            info = scene.info
            cells = scene.scene.name, info.camera, f"{info.frame_start}-{info.frame_end}", f"{info.fps:g}", info.device
            table.add_row(*map(Text, cells))
        if len(opened) > MAX_SCENES:
            table.add_row(f"and {len(opened) - MAX_SCENES} more; --json lists them all")
        console.print(table)
        console.print()
    flows: dict[str, list[str]] = {}
    for scene in opened:
        if scene.info is not None and scene.info.flow:
            flows.setdefault(scene.info.flow, []).append(scene.scene.name)
    if flows:
        show_list(console, "Flow is taken", "cyan", [f"{enumerated(names)}: {text}" for text, names in flows.items()])
        console.print()
    missing = grouped({s.scene.name: s.info.missing for s in opened if s.info is not None})
    if missing:
        show_list(console, "Missing", "red", missing)
        console.print()
    warnings = grouped({s.scene.name: s.info.warnings for s in opened if s.info is not None})
    if warnings:
        show_list(console, "Warnings", "yellow", warnings)
        console.print()
    failures = [f"scene {scene.scene.name}: {scene.error}" for scene in plan.scenes if scene.error is not None]
    if failures:
        show_list(console, "Failed", "red", failures)
        console.print()
    if plan.sequences:
        console.print(plan_table(plan.sequences))
        console.print()
    total = f"{counted(len(plan.sequences), 'sequence')}, {counted(plan.num_frames, 'frame')}"
    size = f"about {human_bytes(plan.disk_bytes)}"
    if plan.probe is None:
        say(console, f"In all {total}, {size}. Nothing was rendered.")
    else:
        show_probe(plan, plan.probe, console)
        workers = counted(plan.probe.workers, "worker")
        time = f"{hours(plan.probe.seconds)} with {workers}"
        without = ", without the scenes that failed" if failed_probes(plan) else ""
        say(console, f"In all {total}, {size}, {time}{without}. Nothing was kept.")


def show_probe(plan: Plan, probe: Probe, console: Console) -> None:
    """What one frame of each scene took, and what follows."""
    good = [row for row in probe.scenes if row.error is None]
    if good:
        table = new_table("Scene", "Frame", "s/frame", "MB/frame", "Frames", "Hours")
        for row in good[:MAX_SCENES]:
            frames = sum(len(item.frames) for item in plan.sequences if item.scene.name == row.scene)
            time = f"{probe.scene_seconds[row.scene] / 3600:.2g}"
            cells = str(row.frame), f"{row.seconds:.2f}", f"{row.num_bytes / 1e6:.2f}", str(frames), time
            table.add_row(Text(row.scene), *cells)
        if len(good) > MAX_SCENES:
            table.add_row(f"and {len(good) - MAX_SCENES} more; --json lists them all")
        console.print(table)
        console.print()
    failed = failed_probes(plan)
    if failed:
        show_list(console, "Failed", "red", [f"scene {row.scene}, frame {row.frame}: {row.error}" for row in failed])
        console.print()


def failed_probes(plan: Plan) -> list[ProbedScene]:
    return [row for row in plan.probe.scenes if row.error is not None] if plan.probe is not None else []


def hours(seconds: float) -> str:
    """`1.5 hours`; what is shorter as `0:01:03`."""
    return f"{seconds / 3600:.3g} hours" if seconds >= 3600 else duration(seconds)


def enumerated(names: Sequence[str], most: int = 5) -> str:
    """`a, b and 3 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def plan_table(sequences: Sequence[SequencePlan]) -> Table:
    if len(sequences) <= MAX_SEQUENCES:
        title, names = in_common([sequence.folder for sequence in sequences])
        table = new_table(title, "Frames", "First", "Last", "Step")
        for name, sequence in zip(names, sequences, strict=True):
            frames = sequence.frames
            cells = [len(frames), frames[0], frames[-1], step_of(frames)] if frames else [0, "-", "-", "-"]
            table.add_row(Text(name), *map(str, cells))
        return table
    groups = by_folder(sequences)
    title, names = in_common([group[0].folder.parent for group in groups])
    table = new_table(title, "Sequences", "Frames", "First", "Last")
    for name, group in zip(names[:MAX_SCENES], groups, strict=False):
        ranges = [sequence.frames for sequence in group if sequence.frames]
        ends = (min(r[0] for r in ranges), max(r[-1] for r in ranges)) if ranges else ("-", "-")
        table.add_row(Text(name), *map(str, (len(group), sum(map(len, ranges)), *ends)))
    if len(groups) > MAX_SCENES:
        table.add_row(f"and {len(groups) - MAX_SCENES} more; --json lists them all")
    return table


def plan_exit_code(plan: Plan) -> int:
    """1 if a scene cannot be rendered."""
    return int(any(scene.error is not None for scene in plan.scenes) or bool(failed_probes(plan)))


def plan_json(plan: Plan) -> dict[str, Any]:
    """The whole plan as plain JSON values."""
    scenes = []
    for scene in plan.scenes:
        audit = None
        if scene.info is not None:
            audit = {**dataclasses.asdict(scene.info)}
            audit.update(missing=list(scene.info.missing), warnings=list(scene.info.warnings))
            del audit["labels"]  # Thousands of lines, and no part of the plan.
        sequences = [
            {
                "name": sequence.name,
                "folder": str(sequence.folder),
                "num_frames": len(sequence.frames),
                "frames": {
                    "start": sequence.frames[0],
                    "stop": sequence.frames[-1] + 1,
                    "step": step_of(sequence.frames),
                },
            }
            for sequence in scene.sequences
        ]
        scenes.append(
            {
                "scene": scene.scene.name,
                "blend": str(scene.scene.blend),
                "error": scene.error,
                "audit": audit,
                "sequences": sequences,
            }
        )
    return {
        "dry_run": True,
        "exit_code": plan_exit_code(plan),
        "num_sequences": len(plan.sequences),
        "num_frames": plan.num_frames,
        "disk_bytes": plan.disk_bytes,
        "probe": None if plan.probe is None else probe_json(plan, plan.probe),
        "scenes": scenes,
        "settings": plan.settings,
    }


def probe_json(plan: Plan, probe: Probe) -> dict[str, Any]:
    return {
        "workers": probe.workers,
        "hours": probe.seconds / 3600,
        "gigabytes": plan.disk_bytes / 1e9,
        "scenes": [
            {**dataclasses.asdict(row), "hours": probe.scene_seconds.get(row.scene, 0.0) / 3600} for row in probe.scenes
        ],
    }


def by_folder(rows: Sequence[T]) -> list[list[T]]:
    """Rows of the same scene together; a scene's sequences lie in one folder."""
    groups: dict[Path, list[T]] = {}
    for row in rows:
        groups.setdefault(row.folder.parent, []).append(row)
    return list(groups.values())


def in_common(folders: Sequence[Path]) -> tuple[str, list[str]]:
    """Heading and cells of a column of folders; what they all begin with is in the heading only."""
    if len(folders) == 1:
        return "Folder", [short_path(folders[0])]
    base = os.path.commonpath([folder.absolute() for folder in folders])
    return f"Folder in {short_path(Path(base))}", [os.path.relpath(folder, base) for folder in folders]


def new_table(*columns: str, left: int = 1) -> Table:
    """Texts in the first `left` columns, numbers in the others."""
    table = Table(box=None, pad_edge=False, header_style="bold cyan")
    for index, column in enumerate(columns):
        if index < left:
            table.add_column(Text(column), overflow="fold")
        else:
            table.add_column(column, justify="right", no_wrap=True)
    return table


def show_list(console: Console, title: str, style: str, lines: Sequence[str]) -> None:
    console.print(Text(f"{title}:", f"bold {style}"))
    for text in lines[:MAX_LINES]:
        say(console, text, indent="  ")
    if len(lines) > MAX_LINES:
        say(console, f"and {len(lines) - MAX_LINES} more; --json lists them all", indent="  ")


def short_path(path: Path) -> str:
    """Relative to the current folder if that is shorter."""
    absolute = str(path.absolute())
    try:
        relative = os.path.relpath(absolute)
    except ValueError:  # Another drive.
        return absolute
    return min(relative, absolute, key=len)


def human_bytes(number: int) -> str:
    """`3.2 GB`; powers of 1000."""
    size = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
