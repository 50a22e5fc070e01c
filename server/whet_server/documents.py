"""Open buffers: text, version, line index and kernels, kept up to date edit by edit.

Lines end at `\r\n`, `\n` and `\r` and nowhere else; form feeds and U+2028 are text.
The syntax tree is edited in place, so a keystroke costs its change and not the file.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

from whet_agent.source import units as source
from whet_server.views import KernelView, Place, Span

_WORD = re.compile(r"\w+")
_LINE_END = re.compile(r"\r\n|\n|\r")


class Buffer:
    """One open document. Lines count from 0, columns are code points."""

    def __init__(self, *, uri: str, path: Path, version: int | None, text: str) -> None:
        self.uri = uri
        self.path = path
        self.version = version
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []
        self._kernels: tuple[KernelView, ...] | None = None
        self._document = source.Document(text)
        self._after_change()

    @property
    def text(self) -> str:
        return self._document.text

    def reset(self, text: str) -> None:
        """Replaces the whole text."""
        self._document.replace(text)
        self._after_change()

    def replace(self, span: Span, text: str) -> None:
        """Replaces what lies in `span`, whose places must be inside the text."""
        start, end = self.offset(span.start), self.offset(span.end)
        self._document.edit(start, end, text)
        self._after_change()

    @property
    def kernels(self) -> tuple[KernelView, ...]:
        """Those a person launches; functions that only help other kernels are left out."""
        if self._kernels is None:
            self._kernels = tuple(
                self._view(kernel)
                for kernel in self._document.kernels
                if kernel.launchers or not kernel.helper_of
            )
        return self._kernels

    def kernel(self, name: str) -> KernelView | None:
        """By qualified name, else by name."""
        for kernel in self.kernels:
            if kernel.qualname == name:
                return kernel
        return next((kernel for kernel in self.kernels if kernel.name == name), None)

    @property
    def n_lines(self) -> int:
        return len(self._starts)

    @property
    def end(self) -> Place:
        return Place(self.n_lines - 1, len(self.text) - self._starts[-1])

    def line(self, number: int) -> str:
        """Without its end."""
        last = number + 1 == self.n_lines
        text = self.text[self._starts[number] : None if last else self._starts[number + 1]]
        return text.rstrip("\r\n")

    def word_at(self, place: Place) -> str:
        """The identifier at `place`, empty between words."""
        line = self.line(place.line)
        for match in _WORD.finditer(line):
            if match.start() <= place.column <= match.end():
                return match.group()
        return ""

    def offset(self, place: Place) -> int:
        return min(self._starts[place.line] + place.column, len(self.text))

    async def wait_for_text(self, text: str) -> None:
        """Until the buffer has held exactly `text`, if only for a moment."""
        seen: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (text, seen)
        self._waiting.append(entry)
        try:
            await seen
        finally:
            self._waiting.remove(entry)

    def _after_change(self) -> None:
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(self.text))]
        self._kernels = None
        for wanted, seen in self._waiting:
            if wanted == self.text and not seen.done():
                seen.set_result(None)

    def _view(self, kernel: source.Kernel) -> KernelView:
        line = kernel.line - 1
        column = max(self.line(line).find(kernel.name), 0)
        return KernelView(
            name=kernel.name,
            qualname=kernel.qualname,
            first_line=kernel.start_line - 1,
            line=line,
            end_line=kernel.end_line - 1,
            name_span=Span(Place(line, column), Place(line, column + len(kernel.name))),
            signature=kernel.signature,
            launchers=kernel.launchers,
            digest=kernel.digest,
        )


class Documents:
    """The open buffers by uri."""

    def __init__(self) -> None:
        self._buffers: dict[str, Buffer] = {}

    def __iter__(self) -> Iterator[Buffer]:
        return iter(self._buffers.values())

    def put(self, buffer: Buffer) -> None:
        self._buffers[buffer.uri] = buffer

    def get(self, uri: str) -> Buffer | None:
        return self._buffers.get(uri)

    def at(self, path: Path) -> Buffer | None:
        return next((buffer for buffer in self if buffer.path == path), None)

    def close(self, uri: str) -> None:
        self._buffers.pop(uri, None)
