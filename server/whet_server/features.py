"""From a buffer's kernels and runs to lenses, actions, hints and findings. Pure.

Every lens has an action twin with the same title, since several editors draw no
lenses. A kernel never offers more than three actions, and one to choose among
several targets.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs

from whet_server import wording
from whet_server.views import (
    Action,
    Command,
    Finding,
    Hint,
    KernelState,
    Lens,
    RunOffer,
    RunView,
    TargetView,
)

if TYPE_CHECKING:
    from whet_agent.report import RunSummary
    from whet_evaluator.worker.records import TestOutcome

ARGUMENT_VERSION = 1

KIND_OPTIMIZE = "refactor.rewrite.whet.optimize"
KIND_FIX = "quickfix.whet.fixTest"
KIND_ACCEPT = "refactor.rewrite.whet.accept"
KIND_OTHER = "whet"

MOST_ACTIONS = 3

RED = ("failed", "error")


@attrs.frozen(kw_only=True)
class Where:
    """The buffer and the target that commands name."""

    uri: str
    version: int | None
    target: TargetView
    can_compare: bool = False
    """The client draws diffs itself."""


def actions(state: KernelState, where: Where) -> tuple[Action, ...]:
    """At most three, most wanted first, and `Optimize for...` when there are several targets."""
    offered = _offered(state, where)
    run = active(state)
    if run is not None:
        return (_cancel(run), *offered)
    wanted = _fix(state, where) if state.red else _optimize(state, where)
    choose = (_choose(state, where),) if where.target.others and not state.red else ()
    verify = (_verify(state, where),) if state.edited else ()
    return (*(*offered, wanted, *verify, _run_tests(state, where))[:MOST_ACTIONS], *choose)


def lenses(state: KernelState, where: Where) -> tuple[Lens, ...]:
    """The twins of the actions that start, stop or accept something."""
    return tuple(
        Lens(line=state.kernel.line, title=action.title, command=_lens_command(action))
        for action in actions(state, where)
        if action.kind != f"{KIND_OTHER}.chooseTarget"
    )


def hint(state: KernelState, *, now: float) -> Hint | None:
    """The confirmed, measured speedup of this kernel's text; None without a measurement."""
    for run in state.runs:
        best = run.summary.best if run.summary else None
        speedup = best.evidence.speedup if best else None
        if speedup is None or run.rejected:
            continue
        ratio = wording.ratio(speedup)
        sentence = wording.measured(speedup, now=now)
        label, tooltip = {
            "after": (ratio, f"Over the text before the run: {sentence}."),
            "before": (f"{ratio} on offer", f"Not yet accepted: {sentence}."),
            "stale": (
                f"{ratio} (stale)",
                f"The kernel changed since this was measured: {sentence}.",
            ),
        }[run.fit]
        return Hint(line=state.kernel.line, label=label, tooltip=tooltip)
    return None


def findings(state: KernelState) -> tuple[Finding, ...]:
    """One for each red test, at the kernel's name."""
    return tuple(
        Finding(
            span=state.kernel.name_span,
            message=_red_sentence(outcome, stale=state.red_stale),
            nodeid=outcome.nodeid,
            stale=state.red_stale,
        )
        for outcome in state.red
    )


def red_tests(outcomes: Iterable[TestOutcome]) -> tuple[TestOutcome, ...]:
    """Those that fail by the code's fault; a known limit of the interpreter is not one."""
    return tuple(o for o in outcomes if o.outcome in RED and o.uncovered is None)


def active(state: KernelState) -> RunView | None:
    return next((run for run in state.runs if run.state != "finished"), None)


def offer(state: KernelState) -> RunView | None:
    """The newest run whose best fits the text as it is and was not rejected."""
    for run in state.runs:
        has_best = run.summary is not None and run.summary.best is not None
        if has_best and run.fit == "before" and not run.rejected:
            return run
    return None


def wants(only: tuple[str, ...] | None, kind: str) -> bool:
    """Whether a client that asks for kinds `only` wants `kind`: kinds are dotted prefixes."""
    return only is None or any(k in {"", kind} or kind.startswith(f"{k}.") for k in only)


def status_text(n_kernels: int, target: TargetView) -> str:
    kernels = f"{n_kernels} kernel{'' if n_kernels == 1 else 's'}"
    arch = wording.arch_name(target.arch) if target.arch else ""
    via = "" if target.name == "local" else f"via {target.name}"
    place = " ".join(filter(None, (arch, via)))
    return f"Whet: {kernels}" + (f", {place}" if place else "")


def progress_text(summary: RunSummary | None, *, iterations: int = 0) -> str:
    """`4/20 testing, best 1.83x`. `iterations` is the budget, 0 when it is not known."""
    if summary is None:
        return "starting"
    best = f"best {wording.best_label(summary.best)}" if summary.best else ""
    n_planned = iterations or summary.iterations
    tried = f"{summary.tried}/{n_planned}" if n_planned else ""
    return ", ".join(filter(None, (f"{tried} {summary.stage}".strip(), best)))


def _optimize(state: KernelState, where: Where) -> Action:
    arch = where.target.arch
    return Action(
        title=f"Optimize for {_target_name(where.target)}",
        kind=f"{KIND_OPTIMIZE}.{arch}" if arch else KIND_OPTIMIZE,
        does=Command(name="whet.optimize", argument=_kernel_argument(state, where, "optimize")),
    )


def _target_name(target: TargetView) -> str:
    if target.arch is not None:
        return wording.arch_name(target.arch)
    return "this GPU" if target.name == "local" else target.name


def _fix(state: KernelState, where: Where) -> Action:
    return Action(
        title="Fix failing test",
        kind=KIND_FIX,
        does=Command(name="whet.fix", argument=_kernel_argument(state, where, "fix")),
        fixes_red=True,
    )


def _run_tests(state: KernelState, where: Where) -> Action:
    return Action(
        title="Run its tests",
        kind=f"{KIND_OTHER}.runTests",
        does=Command(name="whet.runTests", argument=_kernel_argument(state, where, "test")),
    )


def _verify(state: KernelState, where: Where) -> Action:
    return Action(
        title="Verify my changes",
        kind=f"{KIND_OTHER}.verify",
        does=Command(name="whet.verify", argument=_kernel_argument(state, where, "verify")),
    )


def _choose(state: KernelState, where: Where) -> Action:
    return Action(
        title="Optimize for...",
        kind=f"{KIND_OTHER}.chooseTarget",
        does=Command(name="whet.chooseTarget", argument=_kernel_argument(state, where, "optimize")),
    )


def _cancel(run: RunView) -> Action:
    return Action(
        title="Cancel Whet run",
        kind=f"{KIND_OTHER}.cancel",
        does=Command(name="whet.cancel", argument={"v": ARGUMENT_VERSION, "run": run.id}),
    )


def _offered(state: KernelState, where: Where) -> tuple[Action, ...]:
    run = offer(state)
    if run is None or run.summary is None or run.summary.best is None:
        return ()
    accept = Action(
        title=wording.accept_title(run.summary.best),
        kind=KIND_ACCEPT,
        does=RunOffer(run=run.id, uri=where.uri),
    )
    compare = Action(
        title="Show diff",
        kind=f"{KIND_OTHER}.showDiff",
        does=Command(name="whet.showDiff", argument={"v": ARGUMENT_VERSION, "run": run.id}),
    )
    return (accept, compare) if where.can_compare else (accept,)


def _kernel_argument(state: KernelState, where: Where, goal: str) -> dict[str, Any]:
    return {
        "v": ARGUMENT_VERSION,
        "uri": where.uri,
        "version": where.version,
        "kernel": state.kernel.qualname,
        "digest": state.kernel.digest,
        "goal": goal,
        "target": None,
    }


def _lens_command(action: Action) -> Command:
    match action.does:
        case Command() as command:
            return command
        case RunOffer(run=run):
            return Command(name="whet.apply", argument={"v": ARGUMENT_VERSION, "run": run})


def _red_sentence(outcome: TestOutcome, *, stale: bool) -> str:
    why = f": {outcome.gist[:200]}" if outcome.gist else ""
    suffix = " (the kernel changed since; run its tests again)" if stale else ""
    return f"{outcome.nodeid} {'failed' if outcome.outcome == 'failed' else 'broke'}{why}{suffix}"
