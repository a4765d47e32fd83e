"""What an option is, whoever parses it: spellings, type, default and help; Typer's and tyro's in one table."""

from __future__ import annotations

import ast
import difflib
import inspect
import textwrap
import typing
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union

from visionsim.simulation.config import RenderConfig

__all__ = [
    "PREFIX",
    "Option",
    "choices_of",
    "expected",
    "is_optional",
    "nearest",
    "render_options",
    "spellings",
    "typer_options",
]

PREFIX = "render-config."

RENDER_PANELS = {
    "picture": "width height file_format bit_depth exr_codec use_motion_blur seed",
    "ground truth": "depths normals flows segmentations occlusions flow_direction debug",
    "time": "keyframe_multiplier use_animations unbind_camera",
    "device and speed": "device_type max_samples adaptive_threshold use_denoising",
    "workers": "jobs autoscale max_job_vram timeout executable addons autoexec log_dir allow_skips",
}
"""Groups of the help page -> the fields of RenderConfig in them; a field that is in none comes last."""


@dataclass(frozen=True)
class Option:
    """One option (or argument) of a command."""

    key: str
    """As in a configuration file: `num-frames`, `render-config.width`."""
    field: str
    """Name of the Python parameter or field that it sets."""
    kind: Any
    """Its type, such as `int | None`."""
    default: Any
    """MISSING if the user has to give it."""
    help: str
    panel: str
    names: tuple[str, ...] = ()
    """Spellings; the first is the usual one. None for an argument."""
    negatives: tuple[str, ...] = ()
    """Spellings that switch a flag off; the first is the usual one."""
    metavar: str | None = None

    @property
    def flag(self) -> bool:
        return bool(self.names) and without_none(self.kind) is bool

    @property
    def repeats(self) -> bool:
        return typing.get_origin(self.kind) in (tuple, list)

    @property
    def title(self) -> str:
        """How messages call it."""
        return self.names[0] if self.names else (self.metavar or self.key.upper())


def is_optional(kind: Any) -> bool:
    return NoneType in typing.get_args(kind)


def without_none(kind: Any) -> Any:
    """`int` of `int | None`."""
    if typing.get_origin(kind) in (Union, UnionType):
        (kind,) = (part for part in typing.get_args(kind) if part is not NoneType)
    return kind


def choices_of(kind: Any) -> tuple[Any, ...]:
    """The values of a Literal, else nothing."""
    kind = without_none(kind)
    return typing.get_args(kind) if typing.get_origin(kind) is Literal else ()


def expected(kind: Any) -> str:
    """What a value must be, as it reads in `'abc' is not ...`."""
    choices = choices_of(kind)
    plain = without_none(kind)
    if choices:
        text = "one of " + ", ".join(map(str, choices))
    elif typing.get_origin(plain) in (tuple, list):
        text = "a list of texts"
    else:
        names = {int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}
        text = names.get(plain, "a text")
    return f"{text} or None" if is_optional(kind) else text


def metavar_of(kind: Any) -> str:
    if choices_of(kind):
        return "CHOICE"
    plain = without_none(kind)
    return {int: "INT", float: "FLOAT", Path: "PATH", bool: ""}.get(plain, "TEXT")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `word` was most likely meant to be; `--width` is near `--render-config.width`."""
    by_spelling: dict[str, str] = {}
    for name in known:
        by_spelling.setdefault(name.rpartition(".")[2].removeprefix("--"), name)
    by_spelling.update({name: name for name in by_spelling.values()} | {name: name for name in known})
    bare = word.rpartition(".")[2].removeprefix("--")
    if f"{word}." in {f"--{PREFIX}", f"--no-{PREFIX}"}:  # All of them are as near.
        return None
    begun = {name for name in by_spelling.values() if len(bare) > 2 and name.startswith(word)}
    if len(begun) == 1:  # An abbreviation, which we do not accept.
        return begun.pop()
    # The whole word first: a mistyped `--render-config.seed` is not Typer's `--seed`.
    for typed in (word, bare):
        close = difflib.get_close_matches(typed, by_spelling, n=1, cutoff=0.75)
        if close:
            return by_spelling[close[0]]
    return None


def spellings(options: Iterable[Option]) -> dict[str, tuple[Option, bool]]:
    """Every spelling -> the option, and whether it is the positive one."""
    table: dict[str, tuple[Option, bool]] = {}
    for option in options:
        table.update(dict.fromkeys(option.names, (option, True)))
        table.update(dict.fromkeys(option.negatives, (option, False)))
    return table


@cache
def render_options() -> tuple[Option, ...]:
    """The options that tyro parses: one for every field of RenderConfig, in the order of the help page."""
    helps = field_docstrings(RenderConfig)
    kinds = typing.get_type_hints(RenderConfig)
    panels = {name: panel for panel, names in RENDER_PANELS.items() for name in names.split()}
    by_name = {field.name: field for field in fields(RenderConfig)}
    options = []
    for name in [*(name for name in panels if name in by_name), *(name for name in by_name if name not in panels)]:
        field, dashed = by_name[name], name.replace("_", "-")
        flag = without_none(kinds[name]) is bool
        options.append(
            Option(
                key=PREFIX + dashed,
                field=name,
                kind=kinds[name],
                default=field.default if field.default_factory is MISSING else field.default_factory(),
                help=helps.get(name, ""),
                panel=f"Render config: {panels.get(name, 'more')}",
                names=(f"--{PREFIX}{dashed}",),
                negatives=(f"--{PREFIX}no-{dashed}", f"--no-{PREFIX}{dashed}") if flag else (),
            )
        )
    return tuple(options)


def field_docstrings(cls: type) -> dict[str, str]:
    """The strings under the fields of a dataclass, by field: the help texts.

    Read from the source: Python keeps no trace of them at run time, and asking tyro means importing it, which
    takes longer than all the rest of `--help`.
    """
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    except OSError:  # No source installed: help without texts is better than no program.
        return {}
    assert isinstance(body, ast.ClassDef)
    helps = {}
    for this, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(this, ast.AnnAssign) and isinstance(this.target, ast.Name) and isinstance(following, ast.Expr):
            helps[this.target.id] = inspect.cleandoc(ast.literal_eval(following.value)).replace("\n", " ")
    return helps


def typer_options(params: Sequence[Any], function: Any) -> list[Option]:
    """The options and arguments that Typer parses.

    Args:
        params: Typer's parameters of the command, `--help` among them.
        function: what the command calls; its signature has the types and defaults.
    """
    parameters = inspect.signature(function, eval_str=True).parameters
    options = []
    for param in params:
        declared = parameters.get(param.name)
        positional = param.param_type_name == "argument"
        names = sorted(param.opts, key=len, reverse=True)  # Typer hands out those of --help in any order.
        default: Any = False  # Of --help, which no function takes.
        if declared is not None:
            default = MISSING if declared.default is inspect.Parameter.empty else declared.default
        options.append(
            Option(
                key=param.name.replace("_", "-") if positional else names[0].removeprefix("--"),
                field=param.name,
                kind=bool if declared is None else plain_type(declared.annotation),
                default=default,
                help=param.help or getattr(extra_of(declared), "help", None) or "",
                panel="Arguments" if positional else (getattr(param, "rich_help_panel", None) or "Other options"),
                names=() if positional else tuple(names),
                negatives=tuple(param.secondary_opts),
                metavar=param.metavar,
            )
        )
    return options


def extra_of(parameter: inspect.Parameter | None) -> Any:
    """The `typer.Argument(...)` of a parameter; Typer 0.19 with Click 8.5 loses the help text of its arguments."""
    if parameter is None or typing.get_origin(parameter.annotation) is not typing.Annotated:
        return None
    return typing.get_args(parameter.annotation)[1]


def plain_type(annotation: Any) -> Any:
    """`int` of `Annotated[int, ...]`."""
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation
