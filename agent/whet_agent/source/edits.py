"""Minimal edits between two texts, and positions that editors agree on.

A line ends at CR LF, LF or CR and at nothing else: `str.splitlines` also breaks at form
feeds and U+2028, after which every position an editor is told is wrong. Columns count
code points; whoever talks to an editor converts them to its encoding.
"""

from __future__ import annotations

import difflib
import re

import attrs

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_LARGE = 20_000
"""Lines in one changed region beyond which it is replaced whole: difflib is quadratic."""


@attrs.frozen(kw_only=True)
class Edit:
    """Replace from start to end by `text`; lines and columns from 0, end exclusive.

    All edits of one answer refer to the old text and do not overlap.
    """

    start_line: int
    start_column: int
    end_line: int
    end_column: int
    text: str


def minimal_edits(old: str, new: str) -> tuple[Edit, ...]:
    """Edits that turn `old` into `new`, in order, touching as few characters as is sensible."""
    lines = LineIndex(old)
    return tuple(
        Edit(
            start_line=(begin := lines.position(start))[0],
            start_column=begin[1],
            end_line=(finish := lines.position(end))[0],
            end_column=finish[1],
            text=text,
        )
        for start, end, text in hunks(old, new)
    )


def apply_edits(old: str, edits: tuple[Edit, ...]) -> str:
    """What an editor makes of the edits: the inverse of `minimal_edits`."""
    lines = LineIndex(old)
    for edit in reversed(edits):
        start = lines.offset(edit.start_line, edit.start_column)
        end = lines.offset(edit.end_line, edit.end_column)
        old = old[:start] + edit.text + old[end:]
    return old


def hunks(old: str, new: str) -> list[tuple[int, int, str]]:
    """(start, end, replacement) in code points of `old`, in order and apart from each other."""
    before, after = split_lines(old), split_lines(new)
    starts = _starts(before)
    return [
        trimmed
        for a, b, c, d in line_changes(before, after)
        if (trimmed := _trim(old, starts[a], starts[b], "".join(after[c:d]))) is not None
    ]


def line_changes(before: list[str], after: list[str]) -> list[tuple[int, int, int, int]]:
    """Changed line ranges `before[a:b]` against `after[c:d]`, in order."""
    head = 0
    limit = min(len(before), len(after))
    while head < limit and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < limit - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    if not old and not new:
        return []
    if not old or not new or len(old) + len(new) > _LARGE:
        return [(head, head + len(old), head, head + len(new))]
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return [
        (a + head, b + head, c + head, d + head)
        for tag, a, b, c, d in matcher.get_opcodes()
        if tag != "equal"
    ]


def split_lines(text: str) -> list[str]:
    """Lines with their endings; `"".join` gives the text back."""
    return _LINE.findall(text)


class LineIndex:
    """Between offsets and (line, column), both from 0, in code points."""

    def __init__(self, text: str) -> None:
        lines = split_lines(text)
        self._starts = _starts(lines)
        if not text.endswith(("\r", "\n")) and lines:
            self._starts.pop()  # the end of the text lies on the last line
        self._length = len(text)

    def position(self, offset: int) -> tuple[int, int]:
        low, high = 0, len(self._starts) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._starts[middle] <= offset:
                low = middle
            else:
                high = middle - 1
        return low, offset - self._starts[low]

    def offset(self, line: int, column: int) -> int:
        """Clamped to the text, as editors do."""
        if line >= len(self._starts):
            return self._length
        return min(self._starts[line] + column, self._length)


def _starts(lines: list[str]) -> list[int]:
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    return starts


def _trim(old: str, start: int, end: int, new: str) -> tuple[int, int, str] | None:
    """Drops what both share at the ends, but never cuts between CR and LF."""
    first = 0
    limit = min(end - start, len(new))
    while first < limit and old[start + first] == new[first]:
        first += 1
    if first and old[start + first - 1] == "\r":
        first -= 1
    last = 0
    while last < limit - first and old[end - 1 - last] == new[len(new) - 1 - last]:
        last += 1
    if last and old[end - last] == "\n":
        last -= 1
    if start + first == end - last and first == len(new) - last:
        return None
    return start + first, end - last, new[first : len(new) - last]
