"""Code from a reply put into the original file, definition by definition.

What the code defines and the unit has is replaced, decorators included. What neither has
is added: imports after the file's imports, helpers and constants before the unit's first
definition. What the file has outside the unit must be repeated unchanged (models like to
answer with the whole file) or the code is refused. Example calls and `__main__` blocks are
dropped.
"""

from __future__ import annotations

import ast
import difflib

import attrs

from whet_agent.source.module import Placed
from whet_agent.source.scopes import Chunk
from whet_agent.source.units import Document
from whet_evaluator.worker.unit_ref import UnitRef


@attrs.frozen
class Merged:
    text: str


@attrs.frozen
class Unmergeable:
    """`sentence` says to the model what to do differently."""

    sentence: str


def merge(code: str, original: str, unit: UnitRef) -> Merged | Unmergeable:
    """The original file with the code's definitions in place of its own. Never raises."""
    if problem := _syntax_problem(code):
        return Unmergeable(problem)
    return _Merge(code.replace("\r\n", "\n"), original, unit).run()


def defined_names(code: str) -> set[str]:
    """Qualified names of the functions and classes that the code defines."""
    return {p.definition.qualname for p in Document(code).module.placed}


def _syntax_problem(code: str) -> str | None:
    try:
        ast.parse(code)
    except SyntaxError as error:
        return f"The code does not parse: line {error.lineno} of the block: {error.msg}."
    except (ValueError, RecursionError, MemoryError) as error:
        return f"The code does not parse: {error or type(error).__name__}."
    return None


class _Merge:
    def __init__(self, code: str, original: str, unit: UnitRef) -> None:
        self.unit = unit
        self.original = Document(original)
        self.new = Document(code)
        self.raw = original.encode("utf-8", "surrogatepass")
        self.code = code.encode("utf-8", "surrogatepass")
        self.names = [*unit.kernels, *unit.launchers]
        module = self.original.module
        self.there = {n: p for n in module.by_name if (p := module.standing(n)) is not None}
        self.replaced: dict[str, bytes] = {}
        self.imports: list[bytes] = []
        self.additions: list[bytes] = []
        self.strangers: list[str] = []

    def run(self) -> Merged | Unmergeable:
        for start, end, chunk in self.new.statements:
            problem = self.take(self.code[start:end], start, chunk)
            if problem is not None:
                return Unmergeable(problem)
        if not self.replaced:
            return Unmergeable(self.wrong_names())
        return Merged(self.assembled())

    def take(self, statement: bytes, start: int, chunk: Chunk) -> str | None:
        kind = _kind(statement)
        if kind == "import":
            self.take_import(statement, chunk)
        elif kind == "definition":
            for definition in chunk.definitions:
                if definition.parent is None:
                    return self.take_definition(Placed(definition, start, 0))
        elif kind == "assignment":
            return self.take_assignment(statement, chunk)
        return None

    def take_import(self, statement: bytes, chunk: Chunk) -> None:
        known = self.original.module.scope.imports
        missing = any(
            path not in known.get(name, ())
            for name, paths in chunk.scope.imports.items()
            for path in paths
        )
        if missing and not statement.startswith(b"from __future__"):
            self.imports.append(statement)

    def take_assignment(self, statement: bytes, chunk: Chunk) -> str | None:
        known = self.original.module.constants
        names = [n for n in chunk.scope.assigned if n in known]
        if not names:
            self.additions.append(statement)
            return None
        spans = [span for name in names for span in known[name]]
        if any(_same_code(statement, self.raw[a:b]) for a, b in spans):
            return None
        return (
            f"The code changes `{names[0]}`, which is not part of the unit; "
            "give the new value another name."
        )

    def take_definition(self, placed: Placed) -> str | None:
        definition = placed.definition
        text = self.slice(placed)
        name = definition.qualname
        if definition.kind == "class" and name in self.there and name not in self.names:
            return self.take_class(placed)
        target = name if name in self.names else self.method_called(placed)
        if target is not None:
            self.replaced[target] = text
        elif name not in self.there:
            self.strangers.append(name)
            self.additions.append(text)
        elif not _same_code(text, self.original_text(name)):
            return (
                f"The code changes {name}, which is not part of the unit "
                f"({', '.join(self.names)}); leave it out."
            )
        return None

    def take_class(self, placed: Placed) -> str | None:
        """A class around methods of the unit: only those methods are taken from it."""
        around = placed.definition.qualname
        for name, definitions in placed.definition.scope.definitions.items():
            qualname = f"{around}.{name}"
            text = self.slice(Placed(definitions[-1], placed.offset, 0))
            if qualname in self.names:
                self.replaced[qualname] = text
            elif qualname not in self.there:
                return f"The code adds {qualname}; make it a function outside the class."
            elif not _same_code(text, self.original_text(qualname)):
                return f"The code changes {qualname}, which is not part of the unit; leave it out."
        return None

    def method_called(self, placed: Placed) -> str | None:
        """A method written on its own, outside its class."""
        name = placed.definition.name
        if name in self.there:
            return None
        methods = [n for n in self.names if n.rpartition(".")[2] == name and n in self.there]
        same = [
            n for n in methods
            if _first(self.there[n].definition.signature) == _first(placed.definition.signature)
        ]  # fmt: skip
        return same[0] if len(same) == 1 else None

    def slice(self, placed: Placed) -> bytes:
        """A definition's text, its lines shifted to start at column 0."""
        start, end = placed.span
        column = start - (self.code.rfind(b"\n", 0, start) + 1)
        return _shift(self.code[start:end].rstrip(), -column)

    def original_text(self, qualname: str) -> bytes:
        start, end = self.there[qualname].span
        column = start - (self.raw.rfind(b"\n", 0, start) + 1)
        return _shift(self.raw[start:end].rstrip(), -column)

    def wrong_names(self) -> str:
        wanted = ", ".join(self.names)
        if not self.strangers:
            return f"The code changes nothing of the unit; it must redefine one of: {wanted}."
        near = difflib.get_close_matches(self.strangers[0], self.names, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        return f"The code defines {', '.join(self.strangers)}, but the unit has: {wanted}.{hint}"

    def assembled(self) -> str:
        newline = b"\r\n" if self.raw.count(b"\r\n") * 2 > self.raw.count(b"\n") else b"\n"
        edits: list[tuple[int, int, bytes]] = []
        for name, text in self.replaced.items():
            start, end = self.there[name].span
            end = start + len(self.raw[start:end].rstrip())
            column = start - (self.raw.rfind(b"\n", 0, start) + 1)
            edits.append((start, end, _shift(text, column)))
        if self.imports:
            at, lead = self.import_place()
            edits.append((at, at, lead + b"\n".join(self.imports) + (b"" if lead else b"\n")))
        if self.additions:
            at = self.addition_place()
            edits.append((at, at, b"".join(a.rstrip() + b"\n\n\n" for a in self.additions)))
        result = self.raw
        for start, end, text in sorted(edits, key=lambda e: (e[0], e[1]), reverse=True):
            result = result[:start] + text.replace(b"\n", newline) + result[end:]
        return result.decode("utf-8", "surrogatepass")

    def import_place(self) -> tuple[int, bytes]:
        """After the last import before any definition, else before the first statement."""
        place: int | None = None
        first = 3 if self.raw.startswith(b"\xef\xbb\xbf") else 0
        for start, end, chunk in self.original.statements:
            kind = _kind(self.raw[start:end])
            if kind == "import":
                place = end
            elif chunk.definitions:
                break
            elif place is None and kind == "string":
                place = end
        return (first, b"") if place is None else (place, b"\n")

    def addition_place(self) -> int:
        """Before the first statement that holds a definition of the unit, above its comments."""
        spans = [self.there[n].span for n in self.names if n in self.there]
        first = min(start for start, _ in spans)
        place = next(
            (start for start, end, _ in self.original.statements if start <= first < end), first
        )
        while True:
            line = self.raw.rfind(b"\n", 0, max(place - 1, 0)) + 1
            above = self.raw[line:place]
            if place == 0 or not above.startswith(b"#") or above.startswith(b"#!"):
                return place
            place = line


def _kind(statement: bytes) -> str:
    try:
        body = ast.parse(statement.decode("utf-8", "replace")).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "other"
    match body[0] if body else None:
        case ast.Import() | ast.ImportFrom():
            return "import"
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return "definition"
        case ast.Assign() | ast.AnnAssign():
            return "assignment"
        case ast.Expr(value=ast.Constant(value=str())):
            return "string"
    return "other"


def _same_code(left: bytes, right: bytes) -> bool:
    try:
        trees = [ast.dump(ast.parse(t.replace(b"\r\n", b"\n"))) for t in (left, right)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return left.split() == right.split()
    return trees[0] == trees[1]


def _shift(text: bytes, columns: int) -> bytes:
    """Moves all lines but the first by so many columns; blank lines stay blank."""
    if columns == 0:
        return text
    lines = text.split(b"\n")
    for index, line in enumerate(lines[1:], 1):
        if columns > 0 and line.strip():
            lines[index] = b" " * columns + line
        elif columns < 0 and line[:-columns].strip() == b"":
            lines[index] = line[-columns:]
    return b"\n".join(lines)


def _first(signature: str) -> str:
    """Name of the first parameter: `ctx`, `self`, `cls`."""
    return signature.strip("() \n").split(",")[0].split(":")[0].strip()
