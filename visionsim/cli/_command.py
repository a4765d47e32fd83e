"""Make commands of plain functions: options from the signature, progress and closing table around the call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from visionsim.cli._errors import write_json
from visionsim.cli._options import Command, Group, RenderCommand, Session
from visionsim.cli._shared import AsJson, ConfigFile

__all__ = ["add_command", "add_group", "add_render_command", "new_app"]

FROM_US = ("render_config", "observe")
"""Parameters that the command fills in; all others are options."""


def new_app(about: str) -> typer.Typer:
    """A program without commands."""
    app = typer.Typer(cls=Group, help=about, add_completion=False)

    # With a callback Typer keeps the command's name in the command line even if there is only one. The options are
    # flags with a default: for others, its own --help among them, Typer 0.29 imports pydantic, which takes 0.1 s.
    @app.callback(add_help_option=False)
    def program(
        version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
        show_help: Annotated[bool, typer.Option("--help", "-h", help="Show this message and exit.")] = False,
    ) -> None:
        pass

    return app


def add_group(app: typer.Typer, name: str, about: str) -> typer.Typer:
    """A command that has commands of its own: `visionsim NAME COMMAND`."""
    group = typer.Typer(cls=Group, help=about, add_completion=False)

    @group.callback(add_help_option=False)
    def nothing(
        show_help: Annotated[bool, typer.Option("--help", "-h", help="Show this message and exit.")] = False,
    ) -> None:
        pass

    app.add_typer(group, name=name)
    return group


def add_command(app: typer.Typer, function: Callable[..., int], cls: type[Command] = Command) -> None:
    """Make `function` a command; its parameters are the options, what it returns is the exit code."""
    about = inspect.cleandoc(function.__doc__ or "").partition("\n\nArgs:")[0]
    # Typer would compile each of them four times, which takes longer than the rest of what it does (30 ms of 50).
    function.__annotations__ = inspect.get_annotations(function, eval_str=True)
    app.command(
        function.__name__.replace("_", "-"),
        cls=cls,
        help=about,
        context_settings={"help_option_names": ["--help", "-h"]},
    )(function)


def add_render_command(app: typer.Typer, function: Callable[..., Any]) -> None:
    """Make `function` a command that takes a RenderConfig and an observer, and returns a RunReport or a Plan."""
    signature = inspect.signature(function, eval_str=True)

    def command(ctx: typer.Context, as_json: bool, config: Path | None, **values: Any) -> int:
        session = ctx.ensure_object(Session)
        return call(function, values, session)

    asked = [parameter for name, parameter in signature.parameters.items() if name not in FROM_US]
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("ctx", keyword, annotation=typer.Context),
        *(parameter.replace(kind=keyword) for parameter in asked),
        inspect.Parameter("as_json", keyword, annotation=AsJson, default=False),
        inspect.Parameter("config", keyword, annotation=ConfigFile, default=None),
    ]
    # Typer reads both.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    add_command(app, command, RenderCommand)


def call(function: Callable[..., Any], values: dict[str, Any], session: Session) -> int:
    """Run it, draw what it does and what it did; returns the exit code."""
    from visionsim.cli._progress import drawing
    from visionsim.cli._summary import plan_exit_code, plan_json, show_plan, show_report
    from visionsim.simulation.plan import Plan

    with drawing() as observe:
        result = function(**values, render_config=session.render_config, observe=observe)
    if isinstance(result, Plan):
        if session.as_json:
            write_json(plan_json(result))
        else:
            show_plan(result)
        return plan_exit_code(result)
    if session.as_json:
        write_json(result.to_json())
    else:
        show_report(result, session.render_config)
    return int(result.exit_code)
