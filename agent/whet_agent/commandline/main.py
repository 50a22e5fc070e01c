"""The command line: arguments in, one call of the façade, words out.

Exit status: 0 also for "keep yours"; 1 for the world's fault, in one sentence with the
cure; 2 for usage. Output for people is rich's; `--json` prints JSON lines only.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from whet_agent.app import App
from whet_agent.commandline import commands, judging
from whet_agent.compare import Order
from whet_agent.project import Selector, UserError, project_root
from whet_agent.revisions import UsageError, load_version
from whet_agent.source.codebase import load_text
from whet_agent.task import Goal
from whet_agent.verify import find_root
from whet_agent.version import __version__

cli = typer.Typer(
    name="whet",
    help="Sharpens Triton kernels: verified improvements, judged by your own tests.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

KernelArgument = Annotated[str, typer.Argument(metavar="FILE::KERNEL", help="The kernel.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON only.")]
TargetOption = Annotated[str | None, typer.Option("--target", help="A target of your settings.")]
Trust = Annotated[bool, typer.Option("--trust", help="Trust this folder for this command.")]
Replay = Annotated[Path | None, typer.Option(help="Recorded replies instead of a model.")]
MoreTests = Annotated[list[str] | None, typer.Argument(metavar="", hidden=True)]
"""What follows the first word of `--tests A B C`, as `whet fix` is often typed."""
Tests = Annotated[list[str] | None, typer.Option("--tests", help="Test file or node id.")]


def _say_version(wanted: bool) -> None:
    if wanted:
        _console().print(f"whet {__version__}")
        raise typer.Exit


@cli.callback()
def about(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Sharpens Triton kernels: verified improvements, judged by your own tests."""


def main() -> None:
    """Entry of the console script, for everything but `serve`."""
    try:
        cli()
    except UsageError as error:
        _fail(error, status=2)
    except UserError as error:
        _fail(error, status=1)


@cli.command()
def kernels(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...")], *, json_: Json = False
) -> None:
    """List the `@triton.jit` kernels below PATH. Imports nothing."""
    commands.kernels(paths, as_json=json_, console=_console())


@cli.command()
def tests(
    selector: KernelArgument,
    *,
    static: Annotated[bool, typer.Option("--static", help="Do not run anything.")] = False,
    mutants: Annotated[
        bool, typer.Option("--mutants", help="Count the small faults that they would notice.")
    ] = False,
    target: TargetOption = None,
    trust: Trust = False,
    json_: Json = False,
) -> None:
    """Which tests reach a kernel, confirmed by a recorded run."""
    chosen = Selector.parse(selector)
    app = _load_to_run(chosen.path, target=target, trust=trust)
    if mutants:
        from whet_agent.commandline.mutants import mutants as judge

        _await(judge(app, chosen, as_json=json_, console=_console()))
        return
    _await(commands.tests(app, chosen, record=not static, as_json=json_, console=_console()))


@cli.command("optimize", help="Make a kernel cheaper while its tests stay green.")
@cli.command("fix", help="Turn red tests green, and keep every green one.")
def loop(
    context: typer.Context,
    selector: KernelArgument,
    more_tests: MoreTests = None,
    *,
    target: TargetOption = None,
    tests: Tests = None,
    model: Annotated[str | None, typer.Option(help="The model's name at its endpoint.")] = None,
    base_url: Annotated[str | None, typer.Option(help="An OpenAI-compatible endpoint.")] = None,
    no_model: Annotated[bool, typer.Option("--no-model", help="The sweep alone.")] = False,
    iterations: Annotated[int | None, typer.Option(help="Candidate turns per trajectory.")] = None,
    trajectories: Annotated[int | None, typer.Option(help="Searches side by side.")] = None,
    max_usd: Annotated[float | None, typer.Option(help="A hard bound on money.")] = None,
    arch: Annotated[str | None, typer.Option(help="Compile for this, e.g. gfx942.")] = None,
    replay: Replay = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Leave it running; print its id.")
    ] = False,
    trust: Trust = False,
    json_: Json = False,
) -> None:
    goal: Goal = "fix" if context.info_name == "fix" else "optimize"
    chosen = Selector.parse(selector)
    app = _load_to_run(
        chosen.path, replay=replay, target=target, trust=trust, model=model, base_url=base_url,
        no_model=no_model, iterations=iterations, trajectories=trajectories, max_usd=max_usd,
        arch=arch,
    )  # fmt: skip
    if base_url and app.loaded.settings.model is None and not (no_model or replay):
        raise typer.BadParameter("--base-url names an endpoint, but no model: add --model NAME")
    if more_tests and not tests:
        raise typer.BadParameter(f"name tests with --tests: {' '.join(more_tests)}")
    ids = _node_ids([*(tests or []), *(more_tests or [])], app.root)
    task = app.task(goal, chosen.path, chosen.kernel, tests=ids, target=target)
    if detach:
        commands.detach(app, task, replay=replay, as_json=json_, console=_console())
        return
    _await(
        commands.follow(
            app, lambda *watch: app.start(task, *watch), as_json=json_, console=_console()
        )
    )


@cli.command()
def runs(
    *,
    here: Annotated[bool, typer.Option("--here", help="Only this project's.")] = False,
    json_: Json = False,
) -> None:
    """List the runs in the journal, newest first."""
    place = Path.cwd() / "_"
    root = project_root(place, cwd=place.parent) if here else None
    commands.runs(_load(place), root, as_json=json_, console=_console())


@cli.command()
def show(run: str, *, json_: Json = False) -> None:
    """Report one run: verdicts, cost, evidence, the diff. With --json every event."""
    commands.show(_load(Path.cwd() / "_"), run, as_json=json_, console=_console())


@cli.command()
def resume(
    run: str,
    *,
    replay: Replay = None,
    trust: Trust = False,
    json_: Json = False,
) -> None:
    """Go on with a run that was stopped or killed."""
    root = Path(_load(Path.cwd() / "_").history.summary(run).root)
    app = _load_to_run(root / "_", trust=trust, replay=replay)
    _await(
        commands.follow(
            app, lambda *watch: app.resume(run, *watch), as_json=json_, console=_console()
        )
    )


@cli.command()
def apply(run: str) -> None:
    """Splice a run's best candidate into the file as it is now."""
    commands.apply(_load(Path.cwd() / "_"), run, console=_console())


@cli.command()
def verify(
    run: str,
    *,
    hashes: Annotated[
        bool, typer.Option("--hashes", help="Compare hashes only; run nothing.")
    ] = False,
    trust: Trust = False,
    json_: Json = False,
) -> None:
    """Repeat a run's evidence: does it still hold for the files as they are now?

    A project that was moved is verified from its new folder.
    """
    here = Path.cwd()
    summary = _load(here / "_").history.summary(run)
    root = find_root(summary, (project_root(here / "_", cwd=here), here))
    app = _load_to_run(root / "_", trust=trust)
    _await(judging.verify(app, run, root, repeat=not hashes, as_json=json_, console=_console()))


@cli.command()
def compare(
    selector: KernelArgument,
    *,
    against: Annotated[str, typer.Option(metavar="REV|FILE", help="The original.")],
    also: Annotated[
        list[str] | None, typer.Option(metavar="TARGET", help="A further target, or gfx942, ...")
    ] = None,
    target: TargetOption = None,
    tests: Tests = None,
    trust: Trust = False,
    json_: Json = False,
) -> None:
    """Judge your own edit: the file as it is against another version of it.

    Status 0: correct and not slower. 1: wrong or slower, or it could not be judged. 2: usage.
    """
    try:
        chosen = Selector.parse(selector)
    except UserError as error:
        raise UsageError(str(error)) from None
    app = _load_to_run(chosen.path, target=target, trust=trust)
    order = Order(
        path=chosen.path, kernel=chosen.kernel, original=load_version(chosen.path, against),
        text=load_text(chosen.path), tests=_node_ids(tests or [], app.root), target=target,
        also=tuple(also or ()),
    )  # fmt: skip
    _await(judging.compare(app, order, as_json=json_, console=_console()))


@cli.command()
def doctor(*, target: TargetOption = None, json_: Json = False) -> None:
    """Prove each step: settings, trust, Python, torch, triton, GPU, compiler, key."""
    from whet_agent.commandline import doctor as checks

    here = Path.cwd()
    report = asyncio.run(checks.examine(project_root(here / "_", cwd=here), target))
    checks.show(report, as_json=json_, console=_console())
    raise typer.Exit(0 if report.ok else 1)


@cli.command()
def trust(path: Annotated[Path, typer.Argument()] = Path()) -> None:
    """Say that Whet may run the tests of the project at PATH, and heed its settings."""
    from whet_agent.settings.trust import trust as remember

    if not path.is_dir():
        raise UserError(f"{path} is not a folder; name the project's root.")
    remember(path.absolute())
    _console().print(f"Trusted: {path.absolute()} and everything below it.")


@cli.command()
def serve() -> None:
    """Run the language server on standard input and output."""
    raise AssertionError("`serve` is handled before this module is loaded")


def _node_ids(given: list[str], root: Path) -> tuple[str, ...]:
    """Test ids as pytest at `root` wants them, whether typed from there or from here."""
    found = []
    for one in given:
        file, bar, rest = one.partition("::")
        here = Path(file).absolute()
        if (not (root / file).exists() and here.exists() and here.is_relative_to(root)) or (
            Path(file).is_absolute() and here.is_relative_to(root)
        ):
            file = here.relative_to(root).as_posix()
        found.append(file + bar + rest)
    return tuple(found)


def _load(path: Path, *, replay: Path | None = None, **flags: Any) -> App:
    # `not in (None, False)` would lose a zero, which equals False.
    given = {name: v for name, v in flags.items() if v is not None and v is not False}
    app = App.load(project_root(path), flags=given, path=path, recording=replay)
    for one in app.loaded.unusable:
        if one.kind == "flags":
            raise UsageError(one.sentence)
    return app


def _load_to_run(path: Path, **flags: Any) -> App:
    """As `_load`, and what was set but does not count is said on standard error."""
    app = _load(path, **flags)
    stopped = {one.sentence for one in app.loaded.unusable}  # said when the work is refused
    for sentence in (*app.loaded.problems, *app.loaded.refused):
        if app.loaded.trusted and sentence not in stopped:
            _say(sentence)
    return app


def _await(work: Coroutine[Any, Any, int]) -> None:
    status = asyncio.run(work)
    if status:
        raise typer.Exit(status)


def _console() -> Console:
    return Console(highlight=False)


def _fail(error: UserError, *, status: int) -> NoReturn:
    _say(str(error))
    sys.exit(status)


def _say(sentence: str) -> None:
    Console(stderr=True, highlight=False).print(f"whet: {sentence}", markup=False, soft_wrap=True)


__all__ = ["main"]
