"""How two versions of a file differ around one kernel, as far as reading tells. Pure."""

from __future__ import annotations

import ast

import attrs

from whet_agent.revisions import Version
from whet_agent.source.syntax import normalized_bytes
from whet_agent.source.units import Document
from whet_evaluator.worker.unit_ref import UnitRef


@attrs.frozen(kw_only=True)
class Differences:
    """`same_unit`: only other code of the file differs. `outside`: other code differs, too.

    `gone` are launchers that the new version lacks, `recalled` those that take other
    arguments, `kernel` whether the kernel itself does.
    """

    same_unit: bool
    outside: bool
    gone: tuple[str, ...]
    recalled: tuple[str, ...]
    kernel: bool

    @property
    def calls_fit(self) -> bool:
        """Whether a recorded call of the old version can be made on the new one."""
        return not self.gone and not self.recalled


def differences(unit: UnitRef, new_text: str) -> Differences | None:
    """From `unit` to its file's new text; None when the kernel is not in it."""
    name = unit.kernels[0]
    old, new = Document(unit.text), Document(new_text)
    if new.find(name) is None:
        return None
    gone = tuple(one for one in unit.launchers if new.module.standing(one) is None)
    kept = [one for one in unit.launchers if one not in gone]
    return Differences(
        same_unit=old.digest(name) == new.digest(name),
        outside=_outside(old, name) != _outside(new, name),
        gone=gone,
        recalled=tuple(one for one in kept if not _takes_calls_of(old, new, one)),
        kernel=not _takes_calls_of(old, new, name),
    )


def notes(found: Differences, unit: UnitRef, new_text: str, original: Version) -> tuple[str, ...]:
    """What is compared otherwise than a reader would expect, a sentence each."""
    path, kernel, against = unit.path, unit.kernels[0], original.name
    if new_text == unit.text:
        return (f"{path} is the same in both versions: there is nothing to compare.",)
    said = []
    if found.same_unit:
        said.append(
            f"The unit of {kernel} is the same in both versions; only other code of {path} differs."
        )
    elif found.outside:
        said.append(
            f"Code of {path} outside the unit of {kernel} differs, too: both versions are "
            "compared as whole files."
        )
    if found.gone:
        said.append(f"{_listed(found.gone)} is gone: what calls it cannot be compared.")
    if found.recalled:
        said.append(
            f"{_listed(found.recalled)} takes other arguments than in {against}: recorded calls "
            "cannot be made on both, so nothing is timed, and the tests alone decide."
        )
    if found.kernel and found.calls_fit and unit.launchers:
        said.append(
            f"{kernel} takes other arguments than in {against}: it is compared through "
            f"{_listed(unit.launchers)}."
        )
    elif found.kernel:
        said.append(
            f"{kernel} takes other arguments than in {against}: its launches cannot be compared "
            "one by one."
        )
    if original.differing:
        said.append(
            f"Other files differ from {against}, too, and both versions were judged with them as "
            f"they are now: {_listed(original.differing)}."
        )
    return tuple(said)


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _outside(document: Document, kernel: str) -> list[bytes]:
    """The lines that are no part of the unit, blank ones left out."""
    raw, kept, end = normalized_bytes(document.text), b"", 0
    for start, stop in sorted((member.start, member.end) for member in document.members(kernel)):
        kept += raw[end : max(start, end)]
        end = max(stop, end)
    return [line.rstrip() for line in (kept + raw[end:]).splitlines() if line.strip()]


def _takes_calls_of(old: Document, new: Document, name: str) -> bool:
    """Whether every call that fitted the old definition means the same to the new one: it
    has the old parameters with their defaults, and what it adds has a default."""
    before, after = _parameters(old, name), _parameters(new, name)
    if before is None or after is None:
        return False
    return _begins_alike(_positional(before), _positional(after)) and _begins_alike(
        _keywords(before), _keywords(after)
    )


def _begins_alike(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> bool:
    added = after[len(before) :]
    return after[: len(before)] == before and all(default for _, default in added)


def _positional(found: ast.arguments) -> list[tuple[str, str]]:
    """Name and default, empty without one; `*rest` is one that nothing can follow."""
    names = [(one.arg, one in found.posonlyargs) for one in (*found.posonlyargs, *found.args)]
    defaults = ["", *map(ast.dump, found.defaults)]
    padded = [""] * (len(names) + 1 - len(defaults)) + defaults[1:]
    rest = [(f"*{found.vararg.arg}", "*")] if found.vararg else []
    return [(f"{name}/" if bare else name, default)
            for (name, bare), default in zip(names, padded, strict=True)] + rest  # fmt: skip


def _keywords(found: ast.arguments) -> list[tuple[str, str]]:
    pairs = zip(found.kwonlyargs, found.kw_defaults, strict=True)
    named = [(one.arg, ast.dump(default) if default else "") for one, default in pairs]
    return [*([(f"**{found.kwarg.arg}", "**")] if found.kwarg else []), *named]


def _parameters(document: Document, name: str) -> ast.arguments | None:
    placed = document.find(name) or document.module.standing(name)
    try:
        signature = placed.definition.signature if placed is not None else ""
        function = ast.parse(f"def f{signature}: pass").body[0]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return function.args if isinstance(function, ast.FunctionDef) else None
