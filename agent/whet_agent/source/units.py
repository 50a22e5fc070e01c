"""Kernels in the text of one file: where they are, what launches them, what they depend on.

Everything here is pure and works on any text, however broken: an editor asks while the
line is half typed. A *unit* is a kernel, its jit helpers and the launchers of the same
file: the thing a candidate may change. Its digest covers the texts of those definitions
and of the module-level constants they read, and nothing else of the file, so a result
stays attached to a unit while the rest of the file is edited.

Offsets are bytes of the UTF-8 text; columns are counted in code points; lines start at 1
as `ast` has them and end at CR LF, LF or CR only, unlike `str.splitlines`.
"""

from __future__ import annotations

import hashlib

import attrs
from tree_sitter import Tree

from whet_agent.source.edits import Edit, minimal_edits
from whet_agent.source.links import Links
from whet_agent.source.module import Module, Placed
from whet_agent.source.reading import summarize
from whet_agent.source.scopes import Chunk, Definition
from whet_agent.source.splice import Conflict, Spliced, splice_unit
from whet_agent.source.syntax import edit_tree, normalized_bytes, parse_tree, top_level
from whet_evaluator.worker.unit_ref import UnitRef

__all__ = [
    "Conflict",
    "Document",
    "Edit",
    "Kernel",
    "Member",
    "Spliced",
    "minimal_edits",
    "parse_units",
    "splice",
    "unit_digest",
    "unit_members",
    "unit_of",
]


@attrs.frozen(kw_only=True)
class Kernel:
    """One `@triton.jit` function of a file.

    `qualname` is dotted, without `<locals>`. `line` is the `def` line, `end_line` the last
    line of the body, both as `ast` counts. `decorators` are source texts without `@`;
    a function made a kernel by `triton.jit(fn)` has that callee first. `launchers` are
    all host functions of the file that reach the kernel, in source order, `direct` those
    of them that launch it themselves. `helper_of` names the kernels that call this one.
    `start_line` is that of the first decorator.
    """

    name: str
    qualname: str
    line: int
    end_line: int
    decorators: tuple[str, ...]
    launchers: tuple[str, ...]
    direct: tuple[str, ...]
    helpers: tuple[str, ...]
    helper_of: tuple[str, ...]
    digest: str
    signature: str
    start_line: int


@attrs.frozen(kw_only=True)
class Member:
    """A definition of a unit: its bytes in the file, decorators included, and its place."""

    qualname: str
    start: int
    end: int
    line: int


class Document:
    """The reading of one file, kept up to date by edits.

    Cheap to change: the tree is edited in place, and only statements whose bytes are new
    are read again. Not thread-safe.
    """

    def __init__(self, text: str) -> None:
        self._cache: dict[bytes, Chunk] = {}
        self._tree: Tree | None = None
        self._previous: Module | None = None
        self._source = b""
        self._digests: dict[tuple[bytes, ...], str] = {}
        self._made: dict[Definition, tuple[Links, Kernel]] = {}
        self._load(text)

    def edit(self, start: int, end: int, new: str) -> None:
        """Replaces the code points `start` to `end` of the text by `new`."""
        old = self.text
        self.replace(old[:start] + new + old[end:])

    def replace(self, text: str) -> None:
        """Takes the new text of the whole file; what changed is found by comparing."""
        self._load(text)

    def _load(self, text: str) -> None:
        source = normalized_bytes(text)
        if self._tree is not None:
            edit_tree(self._tree, self._source, source)
        self._tree = parse_tree(source, self._tree)
        self.text = text
        self._source = source
        self._kernels: tuple[Kernel, ...] | None = None
        self._module: Module | None = None

    @property
    def module(self) -> Module:
        """Names and definitions of the file, for callers that need more than kernels."""
        if self._module is None:
            chunks = [(start, row, chunk) for start, _, row, chunk in self._read()]
            self._module = self._previous = Module(chunks, self._previous)
        return self._module

    @property
    def statements(self) -> tuple[tuple[int, int, Chunk], ...]:
        """Top-level statements in source order: byte span and reading."""
        return tuple((start, end, chunk) for start, end, _, chunk in self._read())

    def _read(self) -> list[tuple[int, int, int, Chunk]]:
        """(start, end, row, reading) of each statement; only new and broken ones are read: how a
        parser recovers from an error hangs on what stands around it."""
        assert self._tree is not None
        kept: dict[bytes, Chunk] = {}
        chunks: list[tuple[int, int, int, Chunk]] = []
        for node in top_level(self._tree):
            start = node.start_byte
            text = self._source[start : node.end_byte]
            chunk = None if node.has_error else kept.get(text) or self._cache.get(text)
            if chunk is None:
                chunk = summarize(node, self._source)
            if not node.has_error:
                kept[text] = chunk
            chunks.append((start, node.end_byte, node.start_point[0], chunk))
        self._cache = kept
        return chunks

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """All kernels, in source order."""
        if self._kernels is None:
            made = tuple(self._kernel(placed) for placed in self.module.kernels)
            self._made = {p.definition: self._made[p.definition] for p in self.module.kernels}
            self._kernels = made
        return self._kernels

    def _kernel(self, placed: Placed) -> Kernel:
        definition = placed.definition
        links = self.module.links[definition.qualname]
        digest = self._digest(links)
        known = self._made.get(definition)
        if known is None or known[0] is not links or known[1].digest != digest:
            kernel = self._new_kernel(placed, links, digest)
        elif known[1].line == placed.line:
            kernel = known[1]
        else:
            down = placed.line - known[1].line
            kernel = attrs.evolve(
                known[1], line=placed.line, end_line=known[1].end_line + down,
                start_line=known[1].start_line + down,
            )  # fmt: skip
        self._made[definition] = (links, kernel)
        return kernel

    def _new_kernel(self, placed: Placed, links: Links, digest: str) -> Kernel:
        definition = placed.definition
        return Kernel(
            name=definition.name,
            qualname=definition.qualname,
            line=placed.line,
            end_line=placed.row + definition.end_row + 1,
            decorators=self.module.decorators(definition),
            launchers=links.launchers,
            direct=links.direct,
            helpers=links.helpers,
            helper_of=links.helper_of,
            digest=digest,
            signature=definition.signature,
            start_line=placed.row + definition.start_row + 1,
        )

    def find(self, kernel: str) -> Placed | None:
        """The kernel of that qualified name, else the first of that bare name."""
        by_name = None
        for placed in self.module.kernels:
            if placed.definition.qualname == kernel:
                return placed
            if placed.definition.name == kernel and by_name is None:
                by_name = placed
        return by_name

    def links(self, kernel: str) -> Links | None:
        """Launchers, helpers and the like, by qualified names."""
        placed = self.find(kernel)
        return None if placed is None else self.module.links[placed.definition.qualname]

    def members(self, kernel: str) -> tuple[Member, ...]:
        """The unit's definitions in source order; empty when there is no such kernel."""
        links = self.links(kernel)
        by_name = self.module.by_name
        return () if links is None else tuple(_member(p) for n in links.members for p in by_name[n])

    def digest(self, kernel: str) -> str | None:
        links = self.links(kernel)
        return None if links is None else self._digest(links)

    def _digest(self, links: Links) -> str:
        module = self.module
        spans = [p.span for name in links.members for p in module.by_name[name]]
        for name in links.constants:
            spans += module.constants[name]
        texts = tuple(self._source[start:end] for start, end in spans)
        digest = self._digests.get(texts)
        if digest is None:
            hashed = hashlib.sha256()
            for text in texts:
                hashed.update(text.replace(b"\r\n", b"\n") + b"\0")
            digest = self._digests[texts] = hashed.hexdigest()
        return digest


def parse_units(text: str, path: str = "") -> tuple[Kernel, ...]:  # noqa: ARG001
    """All kernels of a file in source order. Never raises; `path` is only for the reader."""
    return Document(text).kernels


def unit_of(text: str, path: str, kernel: str) -> UnitRef | None:
    """The unit of `kernel` (a name or qualified name), or None when there is none such.

    `kernels` of the result start with the kernel itself, its helpers follow.
    """
    document = Document(text)
    placed, links = document.find(kernel), document.links(kernel)
    if placed is None or links is None:
        return None
    names = (placed.definition.qualname, *links.helpers)
    return UnitRef(path=path, kernels=names, launchers=links.launchers, text=text)


def unit_digest(text: str, kernel: str) -> str | None:
    """sha256 of the unit's definitions and the constants they read; None without kernel."""
    return Document(text).digest(kernel)


def unit_members(text: str, kernel: str) -> tuple[Member, ...]:
    """The definitions a candidate may change, in source order."""
    return Document(text).members(kernel)


def splice(
    text: str, unit_original_text: str, candidate_text: str, kernel: str
) -> Spliced | Conflict:
    """Puts a candidate's changes into a buffer that may have been edited elsewhere.

    All three are whole files: the buffer now, the file the candidate was made from, the
    candidate. `Conflict` when the unit itself was changed in the buffer meanwhile.
    """
    if text == unit_original_text:
        return Spliced(candidate_text)
    original, buffer = Document(unit_original_text), Document(text)
    before = original.digest(kernel)
    if before is None or buffer.find(kernel) is None:
        return Conflict(f"there is no kernel {kernel} in the file any more")
    if before != buffer.digest(kernel):
        return Conflict(f"the unit of {kernel} was edited since the run began")
    return splice_unit(
        text, unit_original_text, candidate_text,
        [(m.start, m.end) for m in original.members(kernel)],
        [(m.start, m.end) for m in buffer.members(kernel)],
    )  # fmt: skip


def _member(placed: Placed) -> Member:
    start, end = placed.span
    return Member(qualname=placed.definition.qualname, start=start, end=end, line=placed.line)
