"""Putting a run's best into the editor's buffer, and making sure that it arrived.

Editors answer an edit as they like: one says *applied* of an edit it skipped, another
refuses without a reason. So the text that follows is the proof, and nothing else.
"""

from __future__ import annotations

import asyncio

from whet_server.documents import Buffer
from whet_server.edits import Change, Refusal, plan
from whet_server.runs import Run
from whet_server.to_lsp import Client

SETTLE_S = 2.0
"""How long after its answer a client may take to send the text that the edit made."""


async def accept(client: Client, buffer: Buffer, run: Run) -> str | None:
    """Puts the best into the buffer. None when it is there, else one sentence why not."""
    if not client.capabilities.apply_edit:
        return "This editor takes no edits from a server: use the `Accept` code action instead."
    match plan(buffer.text, run):
        case Refusal(sentence=sentence):
            return sentence
        case Change() as change:
            return await _send(client, buffer, change, label=f"Whet: {run.kernel}")


def is_due(buffer: Buffer, run: Run) -> bool:
    """Whether a best may go in unasked: it is new, and the unit is still the run's own."""
    best = run.summary.best if run.summary else None
    kernel = buffer.kernel(run.kernel)
    return (
        best is not None
        and kernel is not None
        and not run.rejected
        and best.candidate not in run.streamed
        and run.fit(kernel.digest) == "before"
    )


async def stream(client: Client, buffer: Buffer, run: Run) -> None:
    """Applies the best once. Refused or undone, it stays on offer and does not come again."""
    assert run.summary is not None
    assert run.summary.best is not None
    run.streamed.add(run.summary.best.candidate)
    await accept(client, buffer, run)


async def _send(client: Client, buffer: Buffer, change: Change, *, label: str) -> str | None:
    arrived = asyncio.create_task(buffer.wait_for_text(change.text))
    await asyncio.sleep(0)  # it waits before the edit leaves
    try:
        why = await client.apply(buffer, change, label)
        await asyncio.wait({arrived}, timeout=SETTLE_S if why is None else 0)
        if arrived.done():
            return None
        because = f" ({why})" if why else ""
        return f"The editor did not apply the edit{because}: accept it again."
    finally:
        arrived.cancel()
