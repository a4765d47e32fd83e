"""One command line out of two parsers: tyro takes `--render-config.*`, Typer the rest, and the user sees one program.

Both read a command line that `normalise` has put into one unmistakable spelling first. It alone decides which word
is an option and which a value, so the two parsers cannot disagree about it.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, replace
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from visionsim import __version__
from visionsim.cli._config_file import read_config_file
from visionsim.cli._errors import UsageError
from visionsim.cli._fields import (
    PREFIX,
    Option,
    expected,
    is_optional,
    nearest,
    render_options,
    spellings,
    typer_options,
)
from visionsim.cli._help import command_help, group_help
from visionsim.errors import ConfigError
from visionsim.simulation.config import RenderConfig

__all__ = ["Command", "Group", "RenderCommand", "Session", "normalise"]


@dataclass
class Session:
    """What one call of the program finds out while it reads the command line; Typer carries it as `ctx.obj`."""

    as_json: bool = False
    render_config: RenderConfig | None = None


@dataclass(frozen=True)
class Given:
    """A command line in its one spelling."""

    options: list[str]
    """`--name=value` with a value, `--name` or `--no-name` without; dashes, and each option one word."""
    positionals: list[str]
    values: dict[str, str]
    """The last value of each option that takes one, by key; for messages."""
    keys: frozenset[str]
    """Every option that is there, by key."""


def normalise(args: Sequence[str], options: Sequence[Option], command: str) -> Given:
    """Tell options, values and positionals apart.

    A value that begins like an option is one only behind `=`: `--scenes-dir --json` forgot the folder.

    Args:
        args: the words behind the command's name.
        options: all options of the command, and its arguments.
        command: its name, for messages.
    Raises:
        UsageError: an unknown option, a missing value, too many positionals.
    """
    table = spellings(options)
    words = list(args)
    tokens: list[str] = []
    positionals: list[str] = []
    values: dict[str, str] = {}
    keys: set[str] = set()
    while words:
        word = words.pop(0)
        if word == "--":
            positionals += words
            break
        if not looks_like_option(word):
            positionals.append(word)
            continue
        typed, equals, value = word.partition("=")
        name = typed.replace("_", "-")
        if name not in table:
            near = nearest(name, table)
            raise UsageError(f"No such option {typed}.{f' Did you mean {near}?' if near else ''}", command)
        option, positive = table[name]
        keys.add(option.key)
        if option.flag:
            tokens.append(flag_token(option, positive, value if equals else None, words, command))
            continue
        if not equals and words and not looks_like_option(words[0]):
            value = words.pop(0)
        elif not equals and words:
            raise UsageError(f"Option {name} needs a value, and {words[0]} is an option", command)
        if not value:
            raise UsageError(f"Option {name} needs a value", command)
        if is_optional(option.kind) and value.lower() == "none":
            value = "None"  # The one spelling that tyro knows.
            if not option.key.startswith(PREFIX):
                # Typer knows none. Such options are None when they are left out.
                tokens = [token for token in tokens if not token.startswith(f"{option.names[0]}=")]
                continue
        tokens.append(f"{option.names[0]}={value}")
        values[option.key] = value
    arguments = [option.title for option in options if not option.names]
    takes_all = any(option.repeats for option in options if not option.names)
    if len(positionals) > len(arguments) and not takes_all:
        takes = "only " + " and ".join(arguments) if arguments else "options only"
        raise UsageError(f"Unexpected argument {positionals[len(arguments)]!r}: this command takes {takes}", command)
    return Given(tokens, positionals, values, frozenset(keys))


def looks_like_option(word: str) -> bool:
    """Negative numbers and a lone dash do not."""
    return word == "--" or re.match(r"--?[^\W\d]", word) is not None


def flag_token(option: Option, positive: bool, value: str | None, words: list[str], command: str) -> str:
    """The one spelling of a flag; takes the next of `words` if that is its value.

    A flag that has a third state may be followed by True, False or None, as in tyro. Others may not: what comes
    behind them is a positional.
    """
    three_states = is_optional(option.kind)
    if value is None and three_states and positive and words and words[0] in ("True", "False", "None"):
        value = words.pop(0)
    states = {"true": True, "false": False, **({"none": None} if three_states else {})}
    if value is not None:
        if not positive:
            raise UsageError(f"Option {option.negatives[0]} takes no value, not even {value!r}", command)
        if value.lower() not in states:
            raise invalid(option, value, command)
        state = states[value.lower()]
    else:
        state = positive
    if three_states:
        return f"{option.names[0]}={state}"
    if not state and not option.negatives:
        raise UsageError(f"Option {option.names[0]} cannot be switched off", command)
    return option.names[0] if state else option.negatives[0]


class Command(TyperCommand):
    """A command of Typer's with our messages, help page and `--config FILE`."""

    def options(self, ctx: Any) -> list[Option]:
        return typer_options(self.get_params(ctx), self.callback)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        options = self.options(ctx)
        given = normalise(args, options, ctx.command_path)
        if "--help" in given.options:
            # Typer would look at all other parameters first, for which it imports pydantic (0.1 s with Typer 0.29).
            typer.echo(ctx.get_help())
            ctx.exit()
        from_file: dict[str, Any] = {}
        if "config" in given.values:
            # A file that names another one would be read by nobody.
            inner = [option for option in options if option.key not in ("config", "help")]
            from_file = read_config_file(Path(given.values["config"]), inner)
        session = ctx.ensure_object(Session)
        session.as_json = "--json" in given.options or (bool(from_file.get("json")) and "json" not in given.keys)
        check_complete(options, given, from_file, ctx.command_path)
        session.render_config, rest = take_render_config(given, options, from_file, ctx.command_path)
        # Typer looks here when an option is not on the command line.
        behind = from_file.keys() - given.keys
        ctx.default_map = {option.field: from_file[option.key] for option in options if option.key in behind}
        try:
            return super().parse_args(ctx, [*rest, "--", *given.positionals])
        except typer.BadParameter as exc:
            raise typer_refused(exc, given, options, ctx.command_path) from exc

    def format_help(self, ctx: Any, formatter: Any) -> None:
        options = self.options(ctx)
        usage = " ".join([ctx.command_path, *(o.title for o in options if not o.names), "[OPTIONS]"])
        formatter.write(command_help(usage, self.help or "", options))


class RenderCommand(Command):
    """A command whose `--render-config.*` options are tyro's."""

    def options(self, ctx: Any) -> list[Option]:
        return [*super().options(ctx), *render_options()]


class Group(TyperGroup):
    """The tree of commands, with our messages."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(2)
        first = next((i for i, word in enumerate(args) if not word.startswith("-")), len(args))
        given = normalise(args[:first], typer_options(self.get_params(ctx), self.callback), ctx.command_path)
        if given.options:  # Each of them answers at once.
            wants_help = "--help" in given.options
            typer.echo(ctx.get_help() if wants_help else f"visionsim {__version__}")
            ctx.exit()
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands:
            near = nearest(args[0].replace("_", "-"), self.commands)
            hint = f" Did you mean {near}?" if near else ""
            raise UsageError(f"No such command {args[0]!r}.{hint}", ctx.command_path)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, (command.help or "").partition("\n\n")[0]) for name, command in self.commands.items()]
        options = typer_options(self.get_params(ctx), self.callback)
        formatter.write(group_help(f"{ctx.command_path} COMMAND [OPTIONS]", self.help or "", commands, options))


def check_complete(options: Sequence[Option], given: Given, from_file: dict[str, Any], command: str) -> None:
    """Raise UsageError if something is missing that neither the command line nor the file gives."""
    missing = [o.title for o in options if o.names and o.default is MISSING and o.key not in {*given.keys, *from_file}]
    arguments = [option for option in options if not option.names]
    missing += [o.title for o in arguments[len(given.positionals) :] if o.default is MISSING and o.key not in from_file]
    if missing:
        raise UsageError(f"Missing {' and '.join(missing)}", command)


def take_render_config(
    given: Given, options: Sequence[Option], from_file: dict[str, Any], command: str
) -> tuple[RenderConfig, list[str]]:
    """The RenderConfig asked for, and the words that are not tyro's.

    Raises:
        UsageError: a value is not of its option's type.
    """
    ours = [option for option in options if option.key.startswith(PREFIX)]
    base = replace(RenderConfig(), **{o.field: from_file[o.key] for o in ours if o.key in from_file})
    if not any(token.startswith((f"--{PREFIX}", f"--no-{PREFIX}")) for token in given.options):
        return base, given.options
    # Values of a list on the command line replace those of the file; tyro would append them.
    emptied: dict[str, Any] = {o.field: () for o in ours if o.repeats and o.key in given.keys}
    base = replace(base, **emptied)
    parsed = ask_tyro(given.options, base)
    if parsed is not None:
        return parsed
    # tyro says what is wrong in a box of its own. Which option it was can be had without reading that.
    for option in ours:
        if option.key in given.values and ask_tyro([f"{option.names[0]}={given.values[option.key]}"], base) is None:
            raise invalid(option, given.values[option.key], command)
    raise ConfigError(f"These render options do not go together: {' '.join(given.options)}")


def ask_tyro(tokens: list[str], base: RenderConfig) -> tuple[RenderConfig, list[str]] | None:
    """What tyro makes of the words that are its own, and those that are not; None if it refuses one."""
    import tyro  # Takes longer to import than --help may take.

    @dataclass
    class Wrapper:
        render_config: RenderConfig

    # Some of its messages come in spite of `console_outputs=False` (seen with tyro 1.0.17).
    silenced = io.StringIO()
    try:
        with contextlib.redirect_stdout(silenced), contextlib.redirect_stderr(silenced):
            wrapper, rest = tyro.cli(
                Wrapper,
                args=tokens,
                default=Wrapper(base),
                return_unknown_args=True,
                add_help=False,
                console_outputs=False,
                config=(tyro.conf.UseAppendAction,),
            )
    except SystemExit:
        return None
    return wrapper.render_config, rest


def typer_refused(exc: typer.BadParameter, given: Given, options: Sequence[Option], command: str) -> UsageError:
    """Typer's message, in our words."""
    field = getattr(getattr(exc, "param", None), "name", None)
    for option in options:
        if option.field == field and option.key in given.values:
            return invalid(option, given.values[option.key], command)
    return UsageError(exc.format_message(), command)


def invalid(option: Option, value: str, command: str) -> UsageError:
    return UsageError(f"Invalid value for {option.title}: {value!r} is not {expected(option.kind)}", command)
