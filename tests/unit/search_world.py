"""A small world for tests of the search: tasks, ports and replies in one line each."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from whet_agent import drive as driving
from whet_agent.candidates.drafts import Draft, Drafts, Passed, Unfit
from whet_agent.events import Event
from whet_agent.loop_ports import Ports
from whet_agent.ports import Message
from whet_agent.roles.context import Context, Strategy
from whet_agent.search.briefing import Brief
from whet_agent.search.state import Search
from whet_agent.store.journal import Journal
from whet_agent.task import ModelChoice, Policy, Task
from whet_agent.testing.doubles import ManualClock, ScriptedEvaluator
from whet_evaluator.evaluation import Target
from whet_evaluator.worker.unit_ref import UnitRef

ORIGINAL_TEXT = "original = 1\n"
PRICED = ModelChoice(
    name="scripted", base_url="http://127.0.0.1", usd_per_million_input=10.0,
    usd_per_million_output=30.0,
)  # fmt: skip


def task(*, goal="optimize", model=PRICED, arch=None, **policy) -> Task:
    policy.setdefault("sweep", False)
    policy.setdefault("optimizer", False)
    policy.setdefault("reflection", False)
    policy.setdefault("max_completion_tokens", 1000)
    return Task(
        goal=goal,
        root="/project",
        kernel="kernel",
        unit=UnitRef(path="kernel.py", kernels=("kernel",), launchers=(), text=ORIGINAL_TEXT),
        digest="d",
        tests=("tests/test_kernel.py",),
        target=Target(),
        arch=arch,
        policy=Policy(**policy),
        model=model,
    )


def fence(*texts: str, label: str = "memory") -> str:
    """A reply with one fenced candidate for each text."""
    return "\n".join(f"```{label}\n{text}\n```" for text in texts)


def read_reply(reply: str, finish_reason: str, original: str, unit: UnitRef) -> Drafts:
    found = re.findall(r"```(\w+)\n(.*?)\n```", reply, re.DOTALL)
    drafts = tuple(Draft(label=label, strategy=f"do {text}", text=text) for label, text in found)
    return Drafts(drafts=drafts, problems=() if drafts else ("The reply holds no code.",))


def screen(unit: UnitRef, text: str, seen: frozenset[str]) -> Passed | Unfit:
    if text in seen:
        return Unfit(reason="duplicate of an earlier candidate")
    return Passed(text=text, syntax_hash=text)


def say(role: str, context: Context) -> tuple[Message, ...]:
    """A prompt that shows what a role was told, so that scripts can look for it."""
    shown = [
        f"role={role}",
        f"parent={context.parent.candidate if context.parent else 'original'}",
        f"debug={context.last_failure.case if context.last_failure else ''}",
        f"problems={context.problems}",
        f"ancestors={[one.performance for one in context.ancestors]}",
        f"failed={context.failed}",
        f"strategies={[one.text for one in context.strategies]}",
        f"reflections={[one.reflection for one in context.ancestors]}",
    ]
    return (Message("user", "\n".join(shown)),)


def template(search: Search) -> Context:
    unit = search.task.unit
    return Context(goal=search.task.goal, kernel="kernel", path=unit.path, unit_text=unit.text)


BRIEF = Brief(
    template=template,
    excerpt=lambda text: text,
    messages=say,
    parse_strategies=lambda text: (Strategy(label="memory", text=text),) if text else (),
)


def ports(journal: Journal, *, model=None, evaluator=None, sweep=(), clock=None, **more) -> Ports:
    return Ports(
        evaluator=evaluator or ScriptedEvaluator({}),
        journal=journal,
        brief=BRIEF,
        read_reply=read_reply,
        screen=screen,
        sweep=lambda text, unit, arch: tuple(
            Draft(label="launch", strategy=f"BLOCK {index} -> {index + 1}", text=name)
            for index, name in enumerate(sweep)
        ),
        model=model,
        clock=clock or ManualClock(),
        **more,
    )


async def run(
    path: Path, order: Task, *, cancel: asyncio.Event | None = None, sinks=(), **world
) -> tuple[Search, tuple[Event, ...]]:
    """Drives a new run to its end and returns the state with the journal's events."""
    journal = Journal(path / "runs.sqlite3")
    try:
        wired = ports(journal, **world)
        await driving.create("r1", order, wired)
        search = await driving.drive(
            "r1", wired, sinks=tuple(sinks), cancel=cancel or asyncio.Event()
        )
        return search, await journal.events("r1")
    finally:
        journal.close()
