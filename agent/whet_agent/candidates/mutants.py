"""Wrong versions of a user's kernel, to ask how much its tests would notice. Pure.

Each mutant has one small fault of a kind that real kernels have: a bound off by one, a
mask dropped, another value for masked lanes, strides swapped, a term or a factor left
out, another reduction, a rounded accumulator. One of each kind comes before a second of
any, always in the same order. Whether a mutant compiles is for the evaluator to say; that
each parses is certain.
"""

from __future__ import annotations

import itertools

import attrs

from whet_agent.candidates.mutation_operators import OPERATORS, Body, Edit, lanes_meet
from whet_agent.source.bindings import definition_at
from whet_agent.source.syntax import normalized_bytes, parse_tree
from whet_agent.source.units import unit_members
from whet_evaluator.worker.unit_ref import UnitRef

N_MUTANTS = 8
"""Enough to tell tests apart, few enough to wait for."""
MAX_DRAFTS = 20
"""Some do not compile, and others take their place."""


@attrs.frozen(kw_only=True)
class Mutant:
    """`text` is the whole file. `before` and `after` are the changed line, stripped."""

    kind: str
    text: str
    line: int
    before: str
    after: str


def mutants_of(unit: UnitRef) -> tuple[Mutant, ...]:
    """At most `MAX_DRAFTS`, the most telling first; empty where nothing could be changed."""
    raw = normalized_bytes(unit.text)
    root = parse_tree(raw).root_node
    spans = {m.qualname: (m.start, m.end) for m in unit_members(unit.text, unit.kernels[0])}
    found = [definition_at(root, *spans[name]) for name in unit.kernels if name in spans]
    definitions = [node for node in found if node is not None]
    meet = any(map(lanes_meet, definitions))
    bodies = [Body(node, reduces=meet) for node in definitions]
    streams = [
        itertools.chain.from_iterable(map(operator, bodies)) for operator in OPERATORS.values()
    ]
    drafts: dict[str, Mutant] = {}
    for round_ in itertools.zip_longest(*streams):
        for kind, edit in zip(OPERATORS, round_, strict=True):
            mutant = _applied(unit.text, raw, kind, edit) if edit is not None else None
            if mutant is not None and mutant.text not in (unit.text, *drafts):
                drafts[mutant.text] = mutant
    return tuple(drafts.values())[:MAX_DRAFTS]


def _applied(text: str, raw: bytes, kind: str, edit: Edit) -> Mutant | None:
    """None where the result does not parse, or where the text's line ends are unusual."""
    bytes_ = text.encode("utf-8", "surrogatepass")
    if len(bytes_) != len(raw):
        return None
    changed = bytes_[: edit.start] + edit.new.encode() + bytes_[edit.end :]
    if parse_tree(changed).root_node.has_error:
        return None
    end = changed.find(b"\n", edit.start + len(edit.new.encode()))
    first = changed.rfind(b"\n", 0, edit.start) + 1
    old_end = bytes_.find(b"\n", edit.end)
    return Mutant(
        kind=kind,
        text=changed.decode("utf-8", "surrogatepass"),
        line=changed.count(b"\n", 0, edit.start) + 1,
        before=_one_line(bytes_[first : old_end if old_end >= 0 else None]),
        after=_one_line(changed[first : end if end >= 0 else None]),
    )


def _one_line(text: bytes) -> str:
    return " ".join(text.decode("utf-8", "replace").split())
