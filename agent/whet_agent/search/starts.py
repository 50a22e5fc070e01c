"""The work that a run can start, as values: what the policy decides and the shell carries out."""

from __future__ import annotations

import attrs

from whet_agent.events import Role
from whet_agent.ports import Message
from whet_agent.roles.context import Context
from whet_agent.search.state import Tried


@attrs.frozen(kw_only=True)
class StartOpen:
    id: str


@attrs.frozen(kw_only=True)
class StartRecord:
    id: str


@attrs.frozen(kw_only=True)
class StartSweep:
    """Propose the original's launch-parameter variants."""

    id: str


@attrs.frozen(kw_only=True)
class StartAsk:
    """A model call, not before `delay_s`. `reserved_usd` None: the price is unknown."""

    id: str
    role: Role
    context: Context
    messages: tuple[Message, ...]
    prompt_tokens_bound: int
    reserved_usd: float | None
    delay_s: float


@attrs.frozen(kw_only=True)
class StartScreen:
    """Read the Generator's reply: proposals that pass the screen become candidates."""

    id: str
    turn: str
    reply: str
    finish_reason: str
    parent: str


@attrs.frozen(kw_only=True)
class StartJudge:
    id: str
    candidate: Tried
    nodes: tuple[str, ...]


@attrs.frozen(kw_only=True)
class StartConfirm:
    """Judge again on fresh samples, in a fresh process with empty caches."""

    id: str
    candidate: Tried
    nodes: tuple[str, ...]


Start = StartOpen | StartRecord | StartSweep | StartAsk | StartScreen | StartJudge | StartConfirm
