"""From replies and sweeps to proposed candidates: what is read, screened and named. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import attrs

from whet_agent.candidates.countable import countable
from whet_agent.events import Event, Proposed, Rejected, Screened
from whet_agent.search.starts import StartScreen, StartSweep
from whet_agent.search.state import ORIGINAL, Search, arch_of
from whet_evaluator.worker.unit_ref import UnitRef


@attrs.frozen(kw_only=True)
class Draft:
    """A candidate as a reply or the sweep gives it. `text` is the whole new file."""

    label: str
    strategy: str
    text: str


@attrs.frozen(kw_only=True)
class Drafts:
    """What a reply held: candidates, and why parts of it were unusable."""

    drafts: tuple[Draft, ...]
    problems: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Passed:
    """A draft that passed the screen; `text` as screened, `syntax_hash` its identity."""

    text: str
    syntax_hash: str


@attrs.frozen(kw_only=True)
class Unfit:
    """A draft that did not; `reason` is one sentence for the model's next turn."""

    reason: str


class Readers(Protocol):
    """The pure functions of `loop_ports.Ports` that candidates come through."""

    @property
    def read_reply(self) -> Callable[[str, str, str, UnitRef], Drafts]: ...

    @property
    def screen(self) -> Callable[[UnitRef, str, frozenset[str]], Passed | Unfit]: ...

    @property
    def sweep(self) -> Callable[[str, UnitRef, str | None], tuple[Draft, ...]]: ...


def swept(start: StartSweep, search: Search, ports: Readers, at: float) -> Iterator[Event]:
    """The original's launch-parameter variants that pass the screen."""
    task = search.task
    arch = arch_of(search)
    seen = _seen(search, ports)
    drafts: Iterable[Draft] = ports.sweep(task.unit.text, task.unit, arch)
    for index, draft in enumerate(drafts if search.has_clock else countable(drafts)):
        match ports.screen(task.unit, draft.text, seen):
            case Passed() as passed:
                seen |= {passed.syntax_hash}
                name = f"s{index}"
                yield Proposed(
                    id=start.id,
                    candidate=name,
                    parent=ORIGINAL,
                    origin="sweep",
                    label=draft.label,
                    strategy=draft.strategy,
                    text=passed.text,
                    syntax_hash=passed.syntax_hash,
                    at=at,
                )
            case Unfit(reason=reason):
                yield Rejected(id=start.id, reason=reason, label=draft.label, at=at)
    yield Screened(id=start.id, at=at)


def screened(start: StartScreen, search: Search, ports: Readers, at: float) -> Iterator[Event]:
    """A reply's candidates that pass the screen, and why its other parts did not."""
    unit = search.task.unit
    seen = _seen(search, ports)
    found = ports.read_reply(start.reply, start.finish_reason, unit.text, unit)
    for index, draft in enumerate(found.drafts):
        match ports.screen(unit, draft.text, seen):
            case Passed() as passed:
                seen |= {passed.syntax_hash}
                name = f"{start.turn}.{_letters(index)}"
                yield Proposed(
                    id=start.id,
                    candidate=name,
                    parent=start.parent,
                    origin="model",
                    label=draft.label,
                    strategy=draft.strategy,
                    text=passed.text,
                    syntax_hash=passed.syntax_hash,
                    at=at,
                )
            case Unfit(reason=reason):
                yield Rejected(id=start.id, reason=reason, label=draft.label, at=at)
    for problem in found.problems:
        yield Rejected(id=start.id, reason=problem, label="", at=at)
    if not found.drafts and not found.problems:
        yield Rejected(id=start.id, reason="The reply holds no code.", label="", at=at)
    yield Screened(id=start.id, at=at)


def _seen(search: Search, ports: Readers) -> frozenset[str]:
    """Hashes of everything tried before, the original's included."""
    known = frozenset(tried.syntax_hash for tried in search.candidates.values()) - {""}
    match ports.screen(search.task.unit, search.task.unit.text, frozenset()):
        case Passed(syntax_hash=original):
            return known | {original}
        case Unfit():
            return known


def _letters(index: int) -> str:
    """`a` to `z`, then `aa`, ..."""
    first, last = divmod(index, 26)
    return ("" if first == 0 else _letters(first - 1)) + chr(ord("a") + last)
