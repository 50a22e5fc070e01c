"""Carrying a candidate's changes over into a buffer that was edited elsewhere meanwhile.

The candidate differs from its original in hunks. A hunk inside a definition of the unit
moves with that definition, whose bytes the buffer still has. A hunk outside (an added
import, a new helper) moves with the lines around it. Nothing else of the buffer is
touched, so line endings, form feeds and the user's other edits stay byte for byte.
"""

from __future__ import annotations

from itertools import pairwise

import attrs

from whet_agent.source.edits import hunks, line_changes, split_lines

Span = tuple[int, int]


@attrs.frozen
class Spliced:
    """The new text of the whole buffer."""

    text: str


@attrs.frozen
class Conflict:
    """The candidate cannot be placed; `reason` is a phrase for the user."""

    reason: str


def splice_unit(
    buffer: str, original: str, candidate: str, original_spans: list[Span],
    buffer_spans: list[Span],
) -> Spliced | Conflict:  # fmt: skip
    """`*_spans` are the unit's definitions in bytes, in the same order in both texts."""
    if len(original_spans) != len(buffer_spans):
        return Conflict("the unit's definitions were moved or removed since the run began")
    moves = _Moves(original, buffer, original_spans, buffer_spans)
    placed: list[tuple[int, int, str]] = []
    for start, end, text in hunks(original, candidate):
        span = moves.inside(start, end) or moves.outside(start, end)
        if span is None:
            return Conflict("lines beside the unit that the candidate changes were edited too")
        placed.append((*span, text))
    placed.sort(key=lambda p: (p[0], p[1]))
    if any(a[1] > b[0] for a, b in pairwise(placed)):
        return Conflict("the candidate's changes fall together in the edited file")
    for start, end, text in reversed(placed):
        buffer = buffer[:start] + text + buffer[end:]
    return Spliced(buffer)


class _Moves:
    """Where a span of the original lies in the buffer."""

    def __init__(
        self, original: str, buffer: str, original_spans: list[Span], buffer_spans: list[Span]
    ) -> None:
        from_spans = _in_code_points(original, original_spans)
        to_spans = _in_code_points(buffer, buffer_spans)
        self.definitions = sorted(
            (a, b, c) for (a, b), (c, _) in zip(from_spans, to_spans, strict=True)
        )
        self.equal = _equal_regions(original, buffer)

    def inside(self, start: int, end: int) -> Span | None:
        for first, last, moved in self.definitions:
            if first <= start and end <= last:
                return start - first + moved, end - first + moved
        return None

    def outside(self, start: int, end: int) -> Span | None:
        """By the unchanged lines around it; an insertion may also lean on what follows."""
        for first, last, moved in self.equal:
            if first <= start and end <= last:
                return start - first + moved, end - first + moved
        if start == end:
            for first, _, moved in self.definitions:
                if first >= start:
                    return moved, moved
        return None


def _in_code_points(text: str, spans: list[Span]) -> list[Span]:
    if text.isascii():
        return spans
    raw = text.encode("utf-8", "surrogatepass")
    return [
        (
            len(raw[:start].decode("utf-8", "surrogatepass")),
            len(raw[:end].decode("utf-8", "surrogatepass")),
        )
        for start, end in spans
    ]


def _equal_regions(original: str, buffer: str) -> list[tuple[int, int, int]]:
    """(start, end, start in the buffer) of runs of lines that both have."""
    before, after = split_lines(original), split_lines(buffer)
    old, new = [0], [0]
    for line in before:
        old.append(old[-1] + len(line))
    for line in after:
        new.append(new[-1] + len(line))
    regions = []
    done, moved = 0, 0
    for a, b, _, d in [*line_changes(before, after), (len(before), len(before), len(after), 0)]:
        if a > done:
            regions.append((old[done], old[a], new[moved]))
        done, moved = b, d
    return regions
