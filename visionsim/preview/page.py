"""The page as HTML text, from plain data: whole, without scripts, and without anything that it would have to load."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from urllib.parse import quote

from visionsim.preview.charts import share_bar, swatch

__all__ = ["ClassRow", "ObjectRow", "Overview", "Page", "Panel", "Problems", "SequenceCard", "html_of"]

MOST_PROBLEMS = 200
"""Lines of one list of problems."""


@dataclass(frozen=True)
class ObjectRow:
    """An object of a sequence."""

    name: str
    class_name: str
    share: float
    """Of the pixels, 0 to 1."""
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class ClassRow:
    """A class of objects of a sequence."""

    name: str
    objects: int
    share: float
    colours: tuple[tuple[int, int, int], ...]
    """Of some of its objects."""


@dataclass(frozen=True)
class Panel:
    """A drawing with a heading and some words below it, which are HTML."""

    title: str
    svg: str
    words: str = ""


@dataclass
class SequenceCard:
    """A sequence in full."""

    anchor: str
    name: str
    facts: str
    frames: list[int] = field(default_factory=list)
    """Of the strips."""
    strips: dict[str, bytes] = field(default_factory=dict)
    """What it is -> JPEG."""
    ranges: dict[str, str] = field(default_factory=dict)
    """What it is -> what its colours reach."""
    videos: dict[str, str] = field(default_factory=dict)
    """What it is -> path, relative to the page."""
    panels: list[Panel] = field(default_factory=list)
    classes: list[ClassRow] = field(default_factory=list)
    objects: list[ObjectRow] = field(default_factory=list)
    """The largest ones."""
    settings: list[tuple[str, str]] = field(default_factory=list)
    """That are not those of all sequences."""
    timing: str = ""


@dataclass(frozen=True)
class Overview:
    """A sequence in the table of all."""

    name: str
    anchor: str | None
    """Of its card, if it has one."""
    cells: tuple[str, ...]
    state: str
    mood: str = "good"
    """good, warn or bad."""


@dataclass(frozen=True)
class Problems:
    """A list of what is wrong."""

    title: str
    mood: str
    """warn or bad."""
    lines: Sequence[str]


@dataclass
class Page:
    """All that the page says."""

    title: str
    subtitle: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Problems] = field(default_factory=list)
    videos: dict[str, str] = field(default_factory=dict)
    """Over sequences: what it is -> path, relative to the page."""
    columns: tuple[str, ...] = ()
    overview: list[Overview] = field(default_factory=list)
    settings: list[tuple[str, str]] = field(default_factory=list)
    """Those of all sequences."""
    cards: list[SequenceCard] = field(default_factory=list)
    footer: str = ""


def html_of(page: Page) -> str:
    """The document.

    Its policy allows the style below, pictures that are in the document, and nothing else: no script, no request.
    """
    style = resources.files("visionsim.preview").joinpath("report.css").read_text(encoding="utf-8")
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{escape(page.title)}</title>",
        f"<style>{style}</style>\n</head>\n<body>",
        f'<header><h1>{escape(page.title)}</h1><p class="sub">{escape(page.subtitle)}</p>',
        facts(page.facts),
        "</header>\n<main>",
        *(problem_list(item) for item in page.problems),
        overview(page),
        settings_section(page.settings),
        *(card(item) for item in page.cards),
        "</main>",
        f"<footer><p>{escape(page.footer)}</p></footer>",
        "</body>\n</html>\n",
    ]
    return "\n".join(part for part in parts if part)


def facts(rows: Iterable[tuple[str, str]]) -> str:
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in rows)
    return f'<dl class="facts">{items}</dl>' if items else ""


def problem_list(item: Problems) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in item.lines[:MOST_PROBLEMS])
    if len(item.lines) > MOST_PROBLEMS:
        lines += f"<li>and {len(item.lines) - MOST_PROBLEMS} more</li>"
    return f'<section class="{item.mood}"><h2>{escape(item.title)}</h2><ul>{lines}</ul></section>'


def link(path: str, words: str) -> str:
    return f'<a href="{escape(quote(os.fsencode(path)))}">{escape(words)}</a>'


def video_links(videos: dict[str, str]) -> str:
    links = "".join(link(path, name) for name, path in videos.items())
    return f'<p class="videos"><span class="sub">Videos</span>{links}</p>' if videos else ""


def overview(page: Page) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in page.columns)
    rows = []
    for row in page.overview:
        name = escape(row.name)
        name = f'<a href="#{escape(row.anchor)}">{name}</a>' if row.anchor else name
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row.cells)
        state = f'<span class="tag {row.mood}">{escape(row.state)}</span>'
        rows.append(f'<tr><td class="name">{name}</td>{cells}<td>{state}</td></tr>')
    table = f"<table><thead><tr>{head}</tr></thead><tbody>\n" + "\n".join(rows) + "\n</tbody></table>"
    return f'<section><h2>Sequences</h2><div class="scroll overview">{table}</div>{video_links(page.videos)}</section>'


def settings_list(rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in rows)
    return f'<dl class="settings">{body}</dl>'


def settings_section(rows: Sequence[tuple[str, str]]) -> str:
    if not rows:
        return ""
    return f"<section><h2>Settings of all sequences</h2>{settings_list(rows)}</section>"


def card(item: SequenceCard) -> str:
    parts = [
        f'<article id="{escape(item.anchor)}"><h2>{escape(item.name)}</h2><p class="sub">{escape(item.facts)}</p>',
        film(item),
        video_links(item.videos),
        '<div class="panels">',
        *(
            f'<div class="panel"><h3>{escape(panel.title)}</h3>{panel.svg}'
            f"{f'<p>{panel.words}</p>' if panel.words else ''}</div>"
            for panel in item.panels
        ),
        classes(item),
        "</div>",
    ]
    if item.timing:
        parts.append(f"<details><summary>Timing</summary><p>{escape(item.timing)}</p></details>")
    if item.settings:
        parts.append(f"<details><summary>Settings of this sequence</summary>{settings_list(item.settings)}</details>")
    parts.append("</article>")
    return "\n".join(part for part in parts if part)


def film(item: SequenceCard) -> str:
    if not item.strips:
        return ""
    rows = []
    shown = f"frames {', '.join(map(str, item.frames))}"
    for name, jpeg in item.strips.items():
        data = base64.b64encode(jpeg).decode()
        rows.append(
            f'<div class="row"><span>{escape(name)}<small>{escape(item.ranges.get(name, ""))}</small></span>'
            f'<img class="n{len(item.frames)}" alt="{escape(name)}, {shown}" src="data:image/jpeg;base64,{data}"></div>'
        )
    numbers = "".join(f"<span>{frame}</span>" for frame in item.frames)
    rows.append(f'<div class="row"><span></span><div class="numbers">{numbers}</div></div>')
    return f'<div class="film">{"".join(rows)}</div>'


def classes(item: SequenceCard) -> str:
    if not item.classes:
        return ""
    rows = "".join(
        f'<tr><td class="name">{escape(row.name)}</td><td class="n">{row.objects}</td>'
        f'<td class="n">{percent(row.share)}</td><td>{share_bar(row.share)}</td>'
        f"<td>{''.join(swatch(colour) for colour in row.colours)}</td></tr>"
        for row in item.classes
    )
    head = '<tr><th>Class</th><th class="n">Objects</th><th class="n">Pixels</th><th></th><th>Colours</th></tr>'
    table = f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"
    if item.objects:
        objects = "".join(
            f'<tr><td class="name">{swatch(row.colour)} {escape(row.name)}</td><td>{escape(row.class_name)}</td>'
            f'<td class="n">{percent(row.share)}</td></tr>'
            for row in item.objects
        )
        head = '<tr><th>Object</th><th>Class</th><th class="n">Pixels</th></tr>'
        table += (
            f"<details><summary>The {len(item.objects)} largest objects</summary>"
            f"<table><thead>{head}</thead><tbody>{objects}</tbody></table></details>"
        )
    return f'<div class="panel wide"><h3>Classes</h3><div class="scroll">{table}</div></div>'


def percent(share: float) -> str:
    return f"{100 * share:.1f}\u00a0%" if share >= 0.0005 or share == 0 else "<\u00a00.1\u00a0%"
