"""From a run's best to a change of the buffer as it is now, or a sentence why not. Pure.

The best may replace only a unit that still is what the run knows: its original or an
earlier improvement of its own. Whatever else changed in the file is left as it is, and
a unit that a person has touched since is never overwritten.
"""

from __future__ import annotations

import attrs

from whet_agent.source import units as source
from whet_server.runs import Run
from whet_server.views import Edit, Place, Span


@attrs.frozen(kw_only=True)
class Change:
    """Minimal edits of the present text, and the whole text that must follow."""

    edits: tuple[Edit, ...]
    text: str


@attrs.frozen
class Refusal:
    sentence: str


def plan(current: str, run: Run) -> Change | Refusal:
    """What accepting `run` would do to a buffer that holds `current`."""
    best = run.summary.best if run.summary else None
    if best is None:
        return Refusal(
            f"Run {run.id} has nothing to accept yet: wait for an improvement, or start another."
        )
    digest = source.unit_digest(current, run.kernel)
    if digest == run.best_digest:
        return Refusal(f"{run.kernel} already is what run {run.id} offers; nothing was changed.")
    base = run.bases.get(digest) if digest is not None else None
    if base is None:
        return Refusal(
            f"{run.kernel} changed since run {run.id} began, and typing is never overwritten: "
            "undo your change to accept, or start a new run."
        )
    match source.splice(current, base, best.text, run.kernel):
        case source.Spliced(text=text):
            return Change(edits=_edits(current, text), text=text)
        case source.Conflict(reason=reason):
            return Refusal(
                f"The improvement does not fit into the file any more ({reason}): "
                "start a new run on it as it is."
            )


def _edits(old: str, new: str) -> tuple[Edit, ...]:
    return tuple(
        Edit(
            Span(Place(edit.start_line, edit.start_column), Place(edit.end_line, edit.end_column)),
            edit.text,
        )
        for edit in source.minimal_edits(old, new)
    )
