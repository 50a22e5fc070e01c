"""From a model's reply to candidates: whole files, or sentences saying why there is none.

A reply is prose with fenced Python blocks, each headed by `Strategy (label): words`. A
headed block is a candidate of its own; a block without a heading goes with the one
before it, unless it defines the same things again and so is another attempt. Blocks are
merged into the original file by definition, never by line number (`merge.py`).
Replies are text from outside: whatever they hold, nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from whet_agent.candidates.merge import Merged, defined_names, merge
from whet_evaluator.worker.unit_ref import UnitRef

_FENCE = re.compile(r"^[ \t]{0,12}(?P<marks>`{3,}|~{3,})[ \t]*(?P<word>[\w+#.-]*)[^`]*$")
_HEADING = re.compile(
    r"^[\s#>*_\-\d.)]*strategy\b[\s*_:]*(?:[(\[][\s*_`]*(?P<label>[^)\]]{0,60}?)[\s*_`]*[)\]])?"
    r"[\s*_]*[:\u2014-]*[\s*_]*(?P<words>.*)$",
    re.IGNORECASE,
)
_PYTHON = frozenset({"", "python", "py", "python3", "triton", "python-triton"})
_CUT_OFF = (
    "The reply was cut off before its code ended; write shorter code, or only the "
    "definitions that change."
)


@attrs.frozen(kw_only=True)
class Proposal:
    """One candidate. `text_of_whole_file` has the reply's definitions merged in.

    `label` is lower case and empty when the reply named none.
    """

    label: str
    strategy: str
    text_of_whole_file: str


@attrs.frozen(kw_only=True)
class ParsedReply:
    """`problems` are sentences for the model's next turn, one per unusable part."""

    candidates: tuple[Proposal, ...]
    problems: tuple[str, ...]


@attrs.frozen(kw_only=True)
class _Block:
    label: str
    strategy: str
    headed: bool
    code: str
    closed: bool


def parse_reply(reply: str, finish_reason: str, original_text: str, unit: UnitRef) -> ParsedReply:
    """Candidates in the order of the reply. `finish_reason` is the endpoint's own word."""
    blocks = list(_blocks(reply))
    cut = finish_reason == "length" or any(not b.closed for b in blocks)
    usable = [b for b in blocks if b.closed and b.code.strip()]
    if not usable:
        return _without_fences(reply, cut, original_text, unit)
    candidates: list[Proposal] = []
    problems: list[str] = []
    for group in _groups(usable):
        code = "\n\n".join(block.code for block in group)
        made = merge(code, original_text, unit)
        if isinstance(made, Merged):
            head = group[0]
            candidates.append(
                Proposal(label=head.label, strategy=head.strategy, text_of_whole_file=made.text)
            )
        else:
            problems.append(_located(group[0], made.sentence, several=len(usable) > 1))
    if cut:
        problems.append(_CUT_OFF)
    return ParsedReply(candidates=tuple(candidates), problems=tuple(problems))


def _without_fences(reply: str, cut: bool, original_text: str, unit: UnitRef) -> ParsedReply:
    """Some models answer with bare code; anything else is prose or a refusal."""
    if cut:
        return ParsedReply(candidates=(), problems=(_CUT_OFF,))
    if not reply.strip():
        return ParsedReply(candidates=(), problems=("The reply is empty.",))
    if defined_names(reply) & {*unit.kernels, *unit.launchers}:
        made = merge(reply, original_text, unit)
        if isinstance(made, Merged):
            bare = Proposal(label="", strategy="", text_of_whole_file=made.text)
            return ParsedReply(candidates=(bare,), problems=())
    said = " ".join(reply.split())[:120]
    return ParsedReply(
        candidates=(),
        problems=(f"The reply holds no fenced Python block; it says: {said}",),
    )


def _located(block: _Block, sentence: str, *, several: bool) -> str:
    if not several:
        return sentence
    return f"Strategy ({block.label}): {sentence}" if block.label else sentence


def _groups(blocks: list[_Block]) -> Iterator[list[_Block]]:
    group: list[_Block] = []
    names: set[str] = set()
    for block in blocks:
        defined = defined_names(block.code)
        if group and (block.headed or names & defined):
            yield group
            if not block.headed:  # another attempt under the same heading
                first = attrs.evolve(block, label=group[0].label, strategy=group[0].strategy)
            else:
                first = block
            group, names = [first], set()
        else:
            group.append(block)
        names |= defined
    if group:
        yield group


def _blocks(reply: str) -> Iterator[_Block]:
    """Python blocks in order; a fence that never closes runs to the end."""
    label, strategy, headed = "", "", False
    marks: str | None = None
    python = False
    code: list[str] = []
    for line in reply.replace("\r\n", "\n").split("\n"):
        fence = _FENCE.match(line)
        if marks is None:
            if fence is not None:
                marks, code = fence["marks"], []
                python = fence["word"].lower() in _PYTHON
            elif (heading := _HEADING.match(line)) is not None and (
                heading["label"] is not None or heading["words"].strip()
            ):
                label = " ".join((heading["label"] or "").lower().split())
                strategy, headed = heading["words"].strip(" *_"), True
        elif fence is not None and not fence["word"] and _closes(fence["marks"], marks):
            if python:
                yield _Block(
                    label=label, strategy=strategy, headed=headed,
                    code=_dedent(code), closed=True,
                )  # fmt: skip
                headed = False
            marks = None
        else:
            code.append(line)
    if marks is not None and python:
        yield _Block(
            label=label, strategy=strategy, headed=headed, code=_dedent(code), closed=False
        )


def _closes(marks: str, opened: str) -> bool:
    return marks[0] == opened[0] and len(marks) >= len(opened)


def _dedent(lines: list[str]) -> str:
    """Fences inside a list are indented as a whole."""
    margins = [len(line) - len(line.lstrip(" ")) for line in lines if line.strip()]
    margin = min(margins, default=0)
    return "\n".join(line[margin:] for line in lines) + "\n"
