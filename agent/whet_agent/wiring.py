"""Ties the search's ports to the real ones: roles, replies, screen, sweep, model, files.

One place knows all of them, so that none of them knows another.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from whet_agent import roles
from whet_agent.candidates import reply, screen, sweep
from whet_agent.candidates.drafts import Draft, Drafts, Passed, Unfit
from whet_agent.loop_ports import Ports
from whet_agent.model.chat import ChatModel
from whet_agent.ports import Model, ModelError
from whet_agent.retrieval import nearest
from whet_agent.roles.context import Context
from whet_agent.roles.optimizer import parse_strategies
from whet_agent.search.briefing import Brief
from whet_agent.search.state import Search, arch_of
from whet_agent.settings.keys import KeyUnavailable, load_key
from whet_agent.settings.loading import Loaded, load_settings
from whet_agent.source.codebase import load_text
from whet_agent.source.excerpt import excerpt
from whet_agent.store.journal import Journal
from whet_agent.task import ModelChoice, Task
from whet_evaluator.evaluation import Evaluator, Progress, Workspace
from whet_evaluator.worker.unit_ref import UnitRef

MAX_TEST_CHARS = 8000
"""Of the tests' source in a prompt: enough for the shapes and the reference."""


class ClosableModel(Model, Protocol):
    """A model that holds connections."""

    async def close(self) -> None: ...


def ports(
    loaded: Loaded,
    task: Task,
    evaluator: Evaluator,
    journal: Journal,
    model: Model | None,
    on_progress: Callable[[str, Progress], None] | None,
) -> Ports:
    """The loop's world for one run."""
    return Ports(
        evaluator=evaluator,
        journal=journal,
        brief=brief(loaded, task),
        read_reply=read_reply,
        screen=screen_text,
        sweep=sweep_drafts,
        model=model,
        workspace=workspace(loaded),
        on_progress=on_progress or (lambda _work, _progress: None),
    )


def chat_model(
    root: Path, loaded: Loaded, editor: dict[str, Any] | None, choice: ModelChoice
) -> ChatModel:
    """The client for the run's model. Raises `ModelError` when there is no key for it."""
    if not choice.base_url.startswith("http"):
        raise ModelError(
            f"This run's replies are {choice.name}, not a model's; name the recording again with "
            "--replay, or begin a new run.",
            fatal=True,
            billed=False,
        )
    settings = loaded.settings.model
    if settings is None or settings.choice() != choice:
        # Begun with flags, or settings changed since: the run keeps the model it has, and
        # the keys are looked for again, since they are bound to that model's endpoint.
        loaded = load_settings(root, editor, _as_flags(choice))
        settings = loaded.settings.model
    assert settings is not None, "a model was just named"
    try:
        return ChatModel(settings, load_key(loaded.keys))
    except (KeyUnavailable, ValueError) as error:
        raise ModelError(str(error), fatal=True, billed=False) from None


def _as_flags(choice: ModelChoice) -> dict[str, Any]:
    given = {
        "model": choice.name,
        "base_url": choice.base_url,
        "usd_per_million_input": choice.usd_per_million_input,
        "usd_per_million_output": choice.usd_per_million_output,
    }
    return {name: value for name, value in given.items() if value is not None}


def workspace(loaded: Loaded) -> Callable[[Task], Workspace]:
    """The project's files as the settings bound them, unsaved buffers included."""

    def of(task: Task) -> Workspace:
        overlay = {**task.overlay, task.unit.path: task.unit.text}
        return project_files(loaded, Path(task.root), overlay)

    return of


def project_files(
    loaded: Loaded, root: Path, overlay: Mapping[str, str] | None = None
) -> Workspace:
    """The files below `root` that the settings let be sent."""
    settings = loaded.settings
    return Workspace(
        root=root,
        overlay=dict(overlay or {}),
        include=settings.include,
        exclude=settings.exclude,
        max_file_bytes=settings.max_file_bytes,
        max_total_bytes=settings.max_total_bytes,
        limits=settings.limits,
    )


# ---- what the model is told ------------------------------------------------------------


def brief(loaded: Loaded, task: Task) -> Brief:
    """Prompts for one run. Source, tests and knowledge are read once, here."""
    cut = functools.partial(excerpt, kernel=task.kernel)
    tests = test_source(Path(task.root), task.tests) if task.model else ""
    unit_text = task.unit.text if loaded.settings.share != "unit" else cut(task.unit.text)

    def template(search: Search) -> Context:
        arch = arch_of(search)
        return Context(
            goal=task.goal,
            kernel=task.kernel,
            path=task.unit.path,
            unit_text=unit_text,
            launchers=task.unit.launchers,
            knowledge=roles.knowledge_for(arch),
            exemplars=nearest(unit_text),
            tests=tests,
        )

    return Brief(
        template=template,
        excerpt=cut,
        messages=roles.messages,
        parse_strategies=parse_strategies,
    )


def test_source(root: Path, tests: tuple[str, ...]) -> str:
    """Source of the test files, cut to what a prompt has room for."""
    found = []
    for file in dict.fromkeys(test.partition("::")[0] for test in tests):
        path = root / file
        if path.is_file():
            found.append(f"# {file}\n{load_text(path)}")
    return "\n".join(found)[:MAX_TEST_CHARS]


# ---- what comes back -------------------------------------------------------------------


def read_reply(text: str, finish_reason: str, original: str, unit: UnitRef) -> Drafts:
    """A reply's candidates, each as the text of the whole file."""
    parsed = reply.parse_reply(text, finish_reason, original, unit)
    drafts = tuple(
        Draft(label=one.label, strategy=one.strategy, text=one.text_of_whole_file)
        for one in parsed.candidates
    )
    return Drafts(drafts=drafts, problems=parsed.problems)


def screen_text(unit: UnitRef, text: str, seen: frozenset[str]) -> Passed | Unfit:
    """The stage *screen* of the cascade."""
    match screen.screen(unit, text, seen):
        case screen.Screened(text=kept, syntax_hash=syntax_hash):
            return Passed(text=kept, syntax_hash=syntax_hash)
        case screen.Unusable(reason=reason):
            return Unfit(reason=reason)


def sweep_drafts(text: str, unit: UnitRef, arch: str | None) -> tuple[Draft, ...]:
    """Launch parameters and constants, changed in the source."""
    return tuple(
        Draft(label=one.label, strategy=one.strategy, text=one.text)
        for one in sweep.sweep_variants(text, unit, arch)
    )
