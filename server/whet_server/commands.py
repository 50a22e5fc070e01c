"""What the editor's commands do: start work and answer at once, or say why not.

The work goes on whether or not the request that began it is cancelled. Every function
raises `UserError` with one sentence for the person.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whet_agent.project import UserError, relative_to_root
from whet_agent.revisions import HEAD, load_revision
from whet_server import edits, orders
from whet_server.accepting import accept
from whet_server.comparing import ComparisonHandle
from whet_server.documents import Buffer
from whet_server.reporter import run_payload
from whet_server.runs import Handle, OnSummary, Run
from whet_server.session import Session
from whet_server.testing_runs import TestRunHandle
from whet_server.views import Goal, KernelView

if TYPE_CHECKING:
    from whet_evaluator.evaluation import Progress

CHOICE_S = 120.0


async def start(session: Session, goal: Goal, argument: Any) -> dict[str, Any]:
    """Begins or queues a run; the answer is its id."""
    order = orders.kernel_order(argument)
    buffer, kernel = _fresh(session, order)
    session.runs.require_idle(buffer.path, kernel.qualname)
    target = order.target or session.chosen_target
    match goal:
        case "test":
            run = await _test_run(session, buffer, kernel, target)
        case "verify":
            run = await _comparison_run(session, buffer, kernel, target)
        case "optimize" | "fix":
            run = await _search_run(session, goal, buffer, kernel, target)
    session.runs.submit(run)
    return {"run": run.id}


async def cancel(session: Session, argument: Any) -> dict[str, Any]:
    return {"run": session.runs.cancel(orders.run_id(argument)).id}


async def apply(session: Session, argument: Any) -> dict[str, Any]:
    """`{"applied", "reason"}`. An editor that shows no answers gets the reason as a message."""
    run = await _find(session, orders.run_id(argument))
    buffer = session.documents.at(run.path)
    if buffer is None:
        reason: str | None = f"Open {run.path.name} first: improvements go into the editor's text."
    else:
        reason = await accept(session.client, buffer, run)
    session.reporter.changed(run)
    if reason is not None and not session.client.capabilities.whet:
        session.client.inform(reason)
    return {"applied": reason is None, "reason": reason}


async def reject(session: Session, argument: Any) -> dict[str, Any]:
    run = await _find(session, orders.run_id(argument))
    run.rejected = True
    session.reporter.changed(run)
    return {"run": run.id}


async def resume(session: Session, argument: Any) -> dict[str, Any]:
    run = await _find(session, orders.run_id(argument))
    if run.state != "finished" or run.goal in ("test", "verify"):
        raise UserError(f"Run {run.id} is not a stopped run: there is nothing to resume.")
    app = await session.apps.of(session.root_of(run.path))
    journal_id = run.handle.run if run.handle else run.id

    def begin(on_summary: OnSummary) -> Handle:
        return app.resume(journal_id, lambda _run, _event, summary: on_summary(summary))

    again = Run(
        path=run.path, kernel=run.kernel, digest=run.digest, goal=run.goal,
        target=run.target, begin=begin, summary=run.summary, planned=run.planned,
    )  # fmt: skip
    session.runs.submit(again)
    return {"run": again.id}


async def choose_target(session: Session, argument: Any) -> dict[str, Any]:
    """Asks the person for a target, keeps it for the session, and optimizes for it."""
    orders.kernel_order(argument)
    view = session.target()
    choice = await session.client.choose(
        "Where should Whet run?", (view.name, *view.others), CHOICE_S
    )
    if choice is None:
        raise UserError("No target was chosen: name one in the setting `target`.")
    session.chosen_target = choice
    return await start(session, "optimize", {**argument, "target": choice})


async def list_runs(session: Session, uri: str | None) -> list[dict[str, Any]]:
    """All runs newest first, or those of one document, with those of earlier sessions."""
    buffer = session.documents.get(uri) if uri is not None else None
    await session.remember_runs(buffer)
    for known in session.documents:
        session.see_taken(known)
    listed = [run_payload(run, session.uri_of(run)) for run in session.runs.all()]
    return [payload for payload in listed if uri is None or payload["uri"] == uri]


async def content(session: Session, run_id: str, candidate: str | None) -> dict[str, Any]:
    """The best as it would stand in the buffer now, beside the text the run began with; of
    a run that verified an edit its page of evidence, in markdown."""
    run = await _find(session, run_id)
    if run.verified is not None:
        return {"text": run.verified.report, "original": ""}
    best = run.summary.best if run.summary else None
    if best is None or candidate not in (None, best.candidate):
        raise UserError(f"Run {run.id} offers no such candidate: `whet show {run.id}` lists all.")
    buffer = session.documents.at(run.path)
    planned = edits.plan(buffer.text, run) if buffer else None
    text = planned.text if isinstance(planned, edits.Change) else best.text
    return {"text": text, "original": best.original_text}


async def show_diff(session: Session, argument: Any) -> dict[str, Any]:
    """For an editor that draws diffs itself: the two texts."""
    return await content(session, orders.run_id(argument), None)


def offer(session: Session, run_id: str, uri: str) -> tuple[Buffer, edits.Change]:
    """The edit that accepts a run, for the buffer as it is now."""
    run, buffer = session.runs.get(run_id), session.documents.get(uri)
    if run is None or buffer is None:
        raise UserError("That improvement is not known here any more: open the file again.")
    match edits.plan(buffer.text, run):
        case edits.Change() as change:
            return buffer, change
        case edits.Refusal(sentence=sentence):
            raise UserError(sentence)


def _fresh(session: Session, order: orders.KernelOrder) -> tuple[Buffer, KernelView]:
    buffer = session.documents.get(order.uri)
    if buffer is None:
        raise UserError("Open the file first: Whet works on what the editor shows.")
    kernel = buffer.kernel(order.kernel)
    if kernel is None:
        raise UserError(
            f"There is no kernel {order.kernel} in {buffer.path.name} any more: "
            "ask again on the text as it is now."
        )
    if order.digest is not None and order.digest != kernel.digest:
        raise UserError(
            f"{kernel.name} changed since this was offered: ask again on the text as it is now."
        )
    return buffer, kernel


async def _search_run(
    session: Session, goal: Any, buffer: Buffer, kernel: KernelView, target: str | None
) -> Run:
    """Freezes the order: the buffer's text as it is, and other buffers that are not saved."""
    text, root = buffer.text, session.root_of(buffer.path)
    others = {b.path: b.text for b in session.documents if b is not buffer}
    overlay = await asyncio.to_thread(_unsaved, root, others)
    app = await session.apps.of(root)
    path, name = buffer.path, kernel.qualname
    # In a thread, like every look at the whole project: its tests are found by reading it.
    task = await asyncio.to_thread(
        app.task, goal, path, name, text=text, overlay=overlay, target=target
    )

    def begin(on_summary: OnSummary) -> Handle:
        return app.start(task, lambda _run, _event, summary: on_summary(summary))

    return Run(
        path=path, kernel=name, digest=kernel.digest, goal=goal,
        target=task.target.name, begin=begin,
        planned=task.policy.iterations * task.policy.trajectories,
    )  # fmt: skip


async def _test_run(
    session: Session, buffer: Buffer, kernel: KernelView, target: str | None
) -> Run:
    path, text, name = buffer.path, buffer.text, kernel.qualname
    app = await session.apps.of(session.root_of(path))
    # Refuses now what it would later.
    task = await asyncio.to_thread(app.task, "fix", path, name, text=text, target=target)

    def begin(_on_summary: OnSummary) -> Handle:
        return TestRunHandle(app.run_tests(path, name, task.tests, text=text, target=target))

    return Run(
        path=path, kernel=name, digest=kernel.digest, goal="test",
        target=task.target.name, begin=begin,
    )  # fmt: skip


async def _comparison_run(
    session: Session, buffer: Buffer, kernel: KernelView, target: str | None
) -> Run:
    """The buffer's text against HEAD's, with other buffers that are not saved."""
    root, path, name = session.root_of(buffer.path), buffer.path, kernel.qualname
    original = await asyncio.to_thread(load_revision, path, HEAD)
    if original is None:
        raise UserError(
            f"git has no {path.name} at HEAD, so there is nothing to verify your changes "
            "against: commit the file first."
        )
    others = {b.path: b.text for b in session.documents if b is not buffer}
    overlay = await asyncio.to_thread(_unsaved, root, others)
    app = await session.apps.of(root)
    from whet_agent.compare import Order, compare

    order = Order(
        path=path, kernel=name, original=original, text=buffer.text, target=target,
        overlay=overlay,
    )  # fmt: skip

    def begin(_on_summary: OnSummary) -> Handle:
        return ComparisonHandle(compare(app, order, on_progress=on_progress))

    def on_progress(progress: Progress) -> None:
        share = f" {progress.done}/{progress.total}" if progress.total else ""
        run.stage = progress.stage + share
        session.reporter.changed(run)

    run = Run(
        path=path, kernel=name, digest=kernel.digest, goal="verify",
        target=target or session.target(root).name, begin=begin,
    )  # fmt: skip
    return run


async def _find(session: Session, run_id: str) -> Run:
    if session.runs.get(run_id) is None:
        await session.remember_runs(None)
    run = session.runs.get(run_id)
    if run is None:
        raise UserError(f"There is no run {run_id}: `whet runs` lists those of the store.")
    return run


def _unsaved(root: Path, texts: dict[Path, str]) -> dict[str, str]:
    """Root-relative path to text of the buffers that differ from their files."""
    return {
        relative_to_root(path, root): text
        for path, text in texts.items()
        if root in path.parents and _on_disk(path) != text
    }


def _on_disk(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
