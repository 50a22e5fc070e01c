"""The first stage of the cascade: what a candidate's text alone can show to be unusable.

Pure and fast. It stops what would waste an evaluation or change more than the unit, and
names one reason the model can act on. It is no defence against hostile code: the
evaluator's runtime checks decide, these only explain early.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
from collections.abc import Collection

import attrs

from whet_agent.candidates.screen_names import forbidden_use
from whet_agent.source.scopes import Chunk, Definition, Scope
from whet_agent.source.units import Document
from whet_evaluator.worker.unit_ref import UnitRef

_ADDABLE = (
    ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign
)  # fmt: skip


@attrs.frozen
class Screened:
    """The candidate may be evaluated. Equal `syntax_hash` means the same program."""

    text: str
    syntax_hash: str


@attrs.frozen
class Unusable:
    """`reason` is one sentence for the model's next turn, and for the user's tally."""

    reason: str


def screen(
    original: UnitRef, candidate_text: str, seen_hashes: Collection[str],
    *, launched_outside: bool = False,
) -> Screened | Unusable:  # fmt: skip
    """Judges the whole new text of the unit's file by its syntax.

    `seen_hashes` are those of earlier candidates. `launched_outside`: another file
    launches the unit's kernel, so its signature must stay, too.
    """
    try:
        tree = ast.parse(candidate_text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Unusable(_syntax_reason(error))
    before, after = _Text(original.text, original), _Text(candidate_text, original)
    reason = (
        _changed_interface(before, after, launched_outside)
        or _changed_outside(before, after)
        or _bad_additions(before, after)
        or forbidden_use(original.text, candidate_text)
    )
    if reason is not None:
        return Unusable(reason)
    hashed = _hash_of(tree)
    if hashed in seen_hashes:
        return Unusable(
            "This is the same program as one already tried, apart from comments and layout."
        )
    return Screened(candidate_text, hashed)


def syntax_hash(text: str) -> str:
    """sha256 of the program: comments, docstrings and layout do not count.

    Of text that does not parse, the hash of the text itself.
    """
    try:
        return _hash_of(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _hash_of(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                del node.body[0]
    try:
        dumped = ast.dump(tree, annotate_fields=False)
    except RecursionError:
        dumped = repr([type(n).__name__ for n in ast.walk(tree)])
    return hashlib.sha256(dumped.encode("utf-8", "surrogatepass")).hexdigest()


def _syntax_reason(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"The code does not parse: line {error.lineno}: {error.msg}."
    return f"The code does not parse: {error or type(error).__name__}."


class _Text:
    """A file with the unit's definitions masked: what is left must not change."""

    def __init__(self, text: str, unit: UnitRef) -> None:
        self.document = Document(text)
        self.module = self.document.module
        self.unit = unit
        names = {*unit.kernels, *unit.launchers}
        self.members = {
            name: placed.definition
            for name in names if (placed := self.module.standing(name)) is not None
        }  # fmt: skip
        raw = text.encode("utf-8", "surrogatepass")
        spans = [
            p.span for p in self.module.placed
            if p.definition.qualname in names and not _inside_member(p.definition, names)
        ]  # fmt: skip
        self.masked = _mask(raw, spans)
        self.lines = [
            line.rstrip() for line in self.masked.replace(b"\r", b"\n").split(b"\n") if line.strip()
        ]
        self.statements = [
            (self.masked[start:end], start, chunk) for start, end, chunk in self.document.statements
        ]


def _inside_member(definition: Definition, names: set[str]) -> bool:
    parent = definition.parent
    while parent is not None:
        if parent.qualname in names:
            return True
        parent = parent.parent
    return False


def _mask(raw: bytes, spans: list[tuple[int, int]]) -> bytes:
    """Each span becomes spaces: offsets stay, and a masked line counts as blank."""
    for start, end in spans:
        raw = raw[:start] + b" " * (end - start) + raw[end:]
    return raw


def _changed_interface(before: _Text, after: _Text, launched_outside: bool) -> str | None:
    unit = before.unit
    kernel = unit.kernels[0] if unit.kernels else ""
    for name in (kernel, *unit.launchers):
        if name in before.members and name not in after.members:
            return f"{name} is gone; keep every kernel and launcher of the unit under its name."
    if _is_kernel(kernel, before) and not _is_kernel(kernel, after):
        return f"{kernel} is no longer a @triton.jit function."
    return _changed_launchers(before, after) or _changed_kernels(before, after, launched_outside)


def _changed_launchers(before: _Text, after: _Text) -> str | None:
    for name in before.unit.launchers:
        if reason := _changed_signature(name, before, after, "its callers depend on it"):
            return reason
        old, new = before.members.get(name), after.members.get(name)
        if old is not None and new is not None and old.decorators != new.decorators:
            return f"The decorators of {name} changed; keep the launcher's decorators."
    return None


def _changed_kernels(before: _Text, after: _Text, launched_outside: bool) -> str | None:
    for name in before.unit.kernels:
        outside = launched_outside and name == before.unit.kernels[0]
        if outside or _used_outside(name, before):
            why = "code outside the unit uses it"
            if name not in after.members and name in before.members:
                return f"{name} is gone, but {why}."
            if reason := _changed_signature(name, before, after, why):
                return reason
    return None


def _is_kernel(name: str, text: _Text) -> bool:
    return name in text.members and text.module.is_kernel(text.members[name])


def _changed_signature(name: str, before: _Text, after: _Text, why: str) -> str | None:
    old, new = before.members.get(name), after.members.get(name)
    if old is None or new is None:
        return None
    if old.kind != new.kind or _parameters(old.signature) != _parameters(new.signature):
        return f"The signature of {name} changed; keep it as it was, since {why}."
    return None


def _parameters(signature: str) -> str:
    """Names, kinds, order and defaults; annotations left out."""
    try:
        function = ast.parse(f"def f{signature}: pass").body[0]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return signature
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            node.annotation = None
    return ast.dump(function)


def _used_outside(name: str, text: _Text) -> bool:
    """Whether code of the file that a candidate may not change refers to the definition."""
    definition = text.members.get(name)
    if definition is None:
        return False
    module = text.module
    for placed in module.placed:
        other = placed.definition
        if other.qualname in text.members or other.kind == "class":
            continue
        if definition.qualname in module.edges(other):
            return True
    bare = definition.qualname.partition(".")[0]
    return any(ref.partition(".")[0] == bare for ref in module.top_refs())


def _changed_outside(before: _Text, after: _Text) -> str | None:
    """All lines outside the unit must still be there, in order; so must all statements."""
    rest = iter(after.lines)
    for line in before.lines:
        if not any(line == other for other in rest):
            shown = line.decode("utf-8", "replace").strip()[:80]
            return f"Code outside the unit changed: `{shown}` must stay as it was."
    remaining = iter(s for s, _, _ in after.statements)
    for statement, _, _ in before.statements:
        if statement.strip() and not any(_same(statement, other) for other in remaining):
            shown = statement.strip().split(b"\n")[0].decode("utf-8", "replace")[:80]
            return f"Code outside the unit changed: the statement `{shown}` must stay as it was."
    return None


def _same(left: bytes, right: bytes) -> bool:
    return left == right or (left.split() == right.split() and _lines(left) == _lines(right))


def _lines(statement: bytes) -> list[bytes]:
    return [line for line in statement.split(b"\n") if line.strip()]


def _bad_additions(before: _Text, after: _Text) -> str | None:
    """New top-level statements may only define or import, and must shadow nothing."""
    old = [s for s, _, _ in before.statements if s.strip()]
    taken = _names_of(before.module.scope) | {*dir(builtins), "torch", "triton", "tl", "pytest"}
    index = 0
    for statement, _, chunk in after.statements:
        if index < len(old) and _same(old[index], statement):
            index += 1
            continue
        if not statement.strip():
            continue
        if reason := _bad_addition(statement, chunk, before, taken):
            return reason
    return None


def _bad_addition(
    statement: bytes, chunk: Chunk, before: _Text, taken: set[str]
) -> str | None:  # fmt: skip
    shown = statement.strip().split(b"\n")[0].decode("utf-8", "replace")[:80]
    try:
        body = ast.parse(statement).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return f"The added statement `{shown}` cannot stand on its own."
    if not all(isinstance(node, _ADDABLE) for node in body):
        return f"The added statement `{shown}` is not an import, a definition or a constant."
    for name in sorted(_names_of(chunk.scope)):
        again = chunk.scope.imports.get(name)
        if again is not None and set(again) <= set(before.module.scope.imports.get(name, ())):
            continue
        if name in taken and not (again and again[0].rpartition(".")[2] == name != "*"
                                  and name not in _names_of(before.module.scope)):  # fmt: skip
            return f"The new name {name} hides one that is already in use; choose another."
    return None


def _names_of(scope: Scope) -> set[str]:
    names = {*scope.assigned, *scope.definitions, *scope.imports}
    return {n.partition(".")[0] for n in names}
