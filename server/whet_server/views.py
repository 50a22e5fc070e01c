"""The server's own small types: what features read and what they give.

Lines count from 0 and columns are code points, as Python slices text; only
`from_lsp` and `to_lsp` know a client's encoding. Everything here is a frozen value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs

if TYPE_CHECKING:
    from whet_agent.report import RunSummary
    from whet_evaluator.worker.records import TestOutcome
    from whet_server.comparing import Verified


@attrs.frozen(order=True)
class Place:
    line: int
    column: int


@attrs.frozen
class Span:
    """`end` is exclusive."""

    start: Place
    end: Place


@attrs.frozen
class Edit:
    """Replaces `span` of the old text by `text`."""

    span: Span
    text: str


@attrs.frozen(kw_only=True)
class KernelView:
    """One kernel of a buffer. `line` is its `def` line, `first_line` its first decorator's."""

    name: str
    qualname: str
    first_line: int
    line: int
    end_line: int
    name_span: Span
    signature: str
    launchers: tuple[str, ...]
    digest: str


@attrs.frozen(kw_only=True)
class TargetView:
    """Where runs go. `arch` None: not known yet, so no title names an architecture."""

    name: str = "local"
    arch: str | None = None
    others: tuple[str, ...] = ()


Goal = Literal["optimize", "fix", "test", "verify"]
Fit = Literal["before", "after", "stale"]
"""How a buffer's unit stands to a run: the text it began with, its candidate, or neither."""


@attrs.frozen(kw_only=True)
class RunView:
    """A run of this session or of the store, as features see it.

    `id` is the one the client knows. `state` `queued` waits for its target. `fit`
    relates the kernel's present text to it. `summary` is None until its first event,
    `verified` what a finished *verify* run found.
    """

    id: str
    goal: Goal
    state: Literal["queued", "running", "finished"]
    fit: Fit
    rejected: bool = False
    summary: RunSummary | None = None
    verified: Verified | None = None


@attrs.frozen(kw_only=True)
class KernelState:
    """A kernel with all that is known of it. `runs` are newest first.

    `red` are its failing tests as last run, `red_stale` that its text changed since.
    `tests` None: the static map has not been read yet. `edited`: git's HEAD has the kernel,
    and its unit is another one there.
    """

    kernel: KernelView
    runs: tuple[RunView, ...] = ()
    red: tuple[TestOutcome, ...] = ()
    red_stale: bool = False
    tests: tuple[str, ...] | None = None
    edited: bool = False


@attrs.frozen(kw_only=True)
class Command:
    """What a click does: a server command with its one argument object."""

    name: str
    argument: dict[str, Any]


@attrs.frozen(kw_only=True)
class Lens:
    line: int
    title: str
    command: Command


@attrs.frozen(kw_only=True)
class RunOffer:
    """Accepting a run's best: the edit is made when the client resolves the action."""

    run: str
    uri: str


@attrs.frozen(kw_only=True)
class Action:
    """`does` is a command, or an edit still to be computed by `resolve`."""

    title: str
    kind: str
    does: Command | RunOffer
    fixes_red: bool = False


@attrs.frozen(kw_only=True)
class Hint:
    """At the end of `line`."""

    line: int
    label: str
    tooltip: str


@attrs.frozen(kw_only=True)
class Finding:
    """A red test, shown at its kernel's name. `stale`: the text changed since it ran."""

    span: Span
    message: str
    nodeid: str
    stale: bool


@attrs.frozen(kw_only=True)
class Capabilities:
    """What the client said it can do; nothing is asked of it that is not here."""

    encoding: Literal["utf-8", "utf-16", "utf-32"] = "utf-16"
    apply_edit: bool = False
    document_changes: bool = False
    resolves_edits: bool = False
    work_done_progress: bool = False
    refreshes_lenses: bool = False
    refreshes_hints: bool = False
    markdown_hover: bool = False
    code_action_literals: bool = False
    message_requests: bool = False
    whet: bool = False
    """It declared `experimental.whet`: our own notifications are welcome."""
