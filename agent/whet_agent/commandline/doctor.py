"""`whet doctor`: each step from settings to GPU is done once, and said in one line.

Nothing is inferred from version numbers alone where it can be tried: the store is
opened, the worker is started on the target, and the endpoint is asked for its models.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import attrs
from rich.console import Console

from whet_agent.model.chat import ChatModel
from whet_agent.ports import ModelError
from whet_agent.search import words
from whet_agent.settings.keys import KeyUnavailable, load_key
from whet_agent.settings.loading import Loaded, UnknownTargetError, load_settings
from whet_agent.settings.trust import HOW_TO_TRUST
from whet_agent.store.journal import Journal, JournalError
from whet_agent.wiring import project_files
from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Target
from whet_evaluator.worker.records import Facts

State = Literal["ok", "note", "fails"]


@attrs.frozen
class Check:
    """One step. `detail` is what was seen, and for `fails` the cure."""

    name: str
    state: State
    detail: str


@attrs.frozen
class Report:
    checks: tuple[Check, ...]
    origins: dict[str, str]
    """Each setting that is not a default, with where it came from."""

    @property
    def ok(self) -> bool:
        return all(check.state != "fails" for check in self.checks)


async def examine(root: Path, target_name: str | None) -> Report:
    """Does every step for the project at `root` and the named, or default, target."""
    loaded = load_settings(root)
    checks = [*_settings(loaded), _trust(loaded, root), _store(loaded)]
    try:
        target = loaded.settings.find_target(target_name)
    except UnknownTargetError as error:
        return Report((*checks, Check("target", "fails", str(error))), dict(loaded.origins))
    checks += await _target(loaded, target, root)
    checks.append(await _model(loaded))
    return Report(tuple(checks), dict(loaded.origins))


def show(report: Report, *, as_json: bool, console: Console) -> None:
    """Prints the report for a person, or as one JSON object."""
    if as_json:
        fields = attrs.asdict(report) | {"ok": report.ok}
        console.print(json.dumps(fields), markup=False, soft_wrap=True)
        return
    marks = {"ok": "[green]ok   [/]", "note": "[yellow]note [/]", "fails": "[red]fails[/]"}
    for check in report.checks:
        console.print(f"{marks[check.state]} [bold]{check.name:<10}[/] ", end="")
        console.print(check.detail, markup=False, soft_wrap=True)
    for name, origin in sorted(report.origins.items()):
        console.print(f"      {name} is set by {origin}", style="dim", markup=False)


def _settings(loaded: Loaded) -> list[Check]:
    wrong = [Check("settings", "fails", sentence) for sentence in loaded.problems]
    refused = [Check("settings", "note", sentence) for sentence in loaded.refused]
    return wrong + refused or [Check("settings", "ok", "every value can be used")]


def _trust(loaded: Loaded, root: Path) -> Check:
    if loaded.trusted:
        return Check("trust", "ok", f"{root} is trusted: its tests may be run")
    return Check(
        "trust", "fails", f"{root} is not trusted, so nothing of it is run; {HOW_TO_TRUST}."
    )


def _store(loaded: Loaded) -> Check:
    try:
        journal = Journal(loaded.settings.store)
    except JournalError as error:
        return Check("store", "fails", str(error))
    journal.close()
    return Check("store", "ok", str(loaded.settings.store))


async def _target(loaded: Loaded, target: Target, root: Path) -> list[Check]:
    where = " ".join(target.via) or f"this machine; {target.python}, since {loaded.python.reason}"
    checks = [Check("target", "ok", f"{target.name}: {where}")]
    evaluator = WorkerEvaluator(target)
    try:
        facts = await evaluator.open(project_files(loaded, root))
    except EvaluatorError as error:
        return [*checks, Check(error.culprit, "fails", str(error))]
    finally:
        await evaluator.close()
    return checks + _not_sent(evaluator) + _facts(facts)


def _not_sent(evaluator: WorkerEvaluator) -> list[Check]:
    """Project files that the target does not get, so that their absence there is no riddle."""
    said = words.not_sent(evaluator.target.name, evaluator.shipped)
    return [Check("files", "note", said)] if said else []


def _facts(facts: Facts) -> list[Check]:
    versions = (
        f"Python {facts.python}, torch {facts.torch}, triton {facts.triton}, pytest {facts.pytest}"
    )
    checks = [Check("worker", "ok", f"{versions} on {facts.host}")]
    if facts.devices:
        names = ", ".join(f"{device.name} ({device.arch})" for device in facts.devices)
        checks.append(Check("device", "ok", names))
    else:
        checks.append(
            Check(
                "device",
                "note",
                "no GPU here: tests run on Triton's interpreter and nothing is timed; "
                "name a machine that has one under [targets] in your settings.",
            )
        )
    archs = ", ".join(facts.archs) or "none"
    checks.append(Check("compiler", "ok" if facts.archs else "fails", f"compiles for {archs}"))
    checks.append(_isolation(facts))
    if facts.slow_start:
        checks.append(Check("start", "note", facts.slow_start))
    if facts.device_busy:
        checks.append(Check("device", "note", facts.device_busy))
    return checks


def _isolation(facts: Facts) -> Check:
    state: State = "note" if facts.isolation == "none" else "ok"
    return Check("isolation", state, f"{facts.isolation}: {facts.isolation_detail}".rstrip(": "))


async def _model(loaded: Loaded) -> Check:
    model = loaded.settings.model
    if model is None:
        return Check(
            "model", "note",
            "none is set, so only the sweep works; set `model.name` and `model.base_url`.",
        )  # fmt: skip
    try:
        key = load_key(loaded.keys)
        chat = ChatModel(model, key)
    except (KeyUnavailable, ValueError) as error:
        return Check("model", "fails", str(error))
    place = f"{model.name} at {model.base_url}"
    try:
        names = await chat.list_models()
    except ModelError as error:
        return Check("model", "fails", error.sentence)
    finally:
        await chat.close()
    if names and model.name not in names:
        return Check("model", "note", f"{place}; it lists only {', '.join(names[:5])}")
    return Check("model", "ok", f"{place} answers")
