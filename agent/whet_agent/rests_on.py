"""Which files a verdict rests on, and which of them are others now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import attrs

from whet_agent.evidence import Evidence, configuration_of
from whet_agent.source.codebase import Codebase
from whet_agent.source.units import unit_digest
from whet_evaluator.files import text_digest

Status = Literal["holds", "changed", "not repeated", "said"]
"""`changed` ends the claim; `said` is worth knowing and ends nothing."""

_SHA_CHARS = 12


@attrs.frozen(kw_only=True)
class Check:
    """One thing that was looked at. `sentence` is for a person, with its point."""

    what: str
    status: Status
    sentence: str


def hash_checks(
    evidence: Evidence,
    text: str | None,
    sources: Mapping[str, str],
    data_digest: str,
    reachable: frozenset[str],
) -> tuple[Check, ...]:
    """Stored hashes against the files now. Pure.

    `text` is the kernel's file now (None: unreadable), `sources` sha256 by path of all
    sources now, `reachable` those that the tests and the kernel import.
    """
    hashes = evidence.hashes
    if not hashes.tests:
        kept = "This run is older than evidence: no hashes of its files were kept."
        return (Check(what="files", status="not repeated", sentence=kept),)
    configuration = configuration_of(hashes.tests, sources)
    return (
        _unit_check(evidence, text),
        *_file_checks("the test file", hashes.tests, sources),
        *_file_checks("the tests' configuration", hashes.configuration, configuration),
        *_new_files("the tests' configuration", hashes.configuration, configuration),
        *_helper_checks(evidence, sources, reachable),
        *_data_check(evidence, data_digest),
    )


def reached(root: Path, starts: Iterable[str]) -> frozenset[str]:
    """Root-relative paths of the project's files that `starts` import, directly or not.

    Found by reading: nothing is imported, and imports by computed names are missed.
    """
    codebase = Codebase(root)
    waiting = [codebase.root / start for start in starts]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        waiting += _imported(codebase, path)
    inside = (path for path in seen if path.is_relative_to(codebase.root))
    return frozenset(path.relative_to(codebase.root).as_posix() for path in inside)


def _imported(codebase: Codebase, path: Path) -> list[Path]:
    """Files that one file's imports execute, packages on the way included."""
    document = codebase.document(path)
    if document is None:
        return []
    scopes = [
        scope
        for _, _, chunk in document.statements
        for scope in (chunk.scope, *(definition.scope for definition in chunk.definitions))
    ]
    found = []
    for dotted in {one for scope in scopes for names in scope.imports.values() for one in names}:
        parts = dotted.split(".")
        for length in range(1, len(parts) + 1):
            located = codebase.locate(".".join(parts[:length]), path)
            if located is not None:
                found.append(located[0])
    return found


def _unit_check(evidence: Evidence, text: str | None) -> Check:
    hashes, path = evidence.hashes, evidence.path
    if text is None:
        return Check(what=path, status="changed", sentence=f"{path} cannot be read any more.")
    digest = unit_digest(text, evidence.kernel)
    if digest is None:
        gone = f"There is no kernel {evidence.kernel} in {path} any more."
        return Check(what=path, status="changed", sentence=gone)
    sha = text_digest(text)
    if digest not in (hashes.original_unit, hashes.candidate_unit):
        return Check(what=path, status="changed", sentence=(
            f"The unit of {evidence.kernel} in {path} changed since (sha256 "
            f"{_short(hashes.original_unit)} then, {_short(digest)} now)."
        ))  # fmt: skip
    accepted = digest == hashes.candidate_unit
    whole = hashes.candidate if accepted else hashes.original
    as_it = "as the run offered it" if accepted else "as it was when the run began"
    if sha == whole:
        return Check(what=path, status="holds", sentence=f"{path} is {as_it}.")
    return Check(what=path, status="said", sentence=(
        f"{path} was edited outside the unit (sha256 {_short(whole)} then, {_short(sha)} now); "
        f"the unit of {evidence.kernel} is {as_it}."
    ))  # fmt: skip


def _file_checks(role: str, then: Mapping[str, str], now: Mapping[str, str]) -> list[Check]:
    return [_file_check(role, path, sha, now.get(path)) for path, sha in sorted(then.items())]


def _file_check(role: str, path: str, then: str, now: str | None) -> Check:
    if now == then:
        return Check(what=path, status="holds", sentence=f"{path} is as it was.")
    if now is None:
        return Check(what=path, status="changed", sentence=f"{_cap(role)} {path} is gone.")
    said = f"{_cap(role)} {path} changed since (sha256 {_short(then)} then, {_short(now)} now)."
    return Check(what=path, status="changed", sentence=said)


def _new_files(role: str, then: Mapping[str, str], now: Mapping[str, str]) -> list[Check]:
    return [
        Check(what=path, status="changed", sentence=f"{_cap(role)} {path} is new.")
        for path in sorted(now.keys() - then.keys())
    ]


def _helper_checks(
    evidence: Evidence, sources: Mapping[str, str], reachable: frozenset[str]
) -> list[Check]:
    """What tests, kernel, references or benchmark are or import counts; other sources are
    mentioned, in one line."""
    then = evidence.hashes.helpers
    differing = sorted(path for path, sha in then.items() if sources.get(path) != sha)
    counted = [path for path in differing if path in reachable]
    others = [path for path in differing if path not in reachable]
    checks = _file_checks("the imported module", {p: then[p] for p in counted}, sources)
    if others:
        said = (
            f"{len(others)} other source{'' if len(others) == 1 else 's'} changed since, which "
            f"neither tests nor kernel import: {', '.join(others[:5])}."
        )
        checks.append(Check(what="other sources", status="said", sentence=said))
    elif not counted:
        same = f"The {len(then)} other sources are as they were."
        checks.append(Check(what="other sources", status="holds", sentence=same))
    return checks


def _data_check(evidence: Evidence, data_digest: str) -> list[Check]:
    n_data = evidence.hashes.n_data
    if data_digest == evidence.hashes.data_digest or not n_data:
        return []
    said = f"Some of the other files (there were {n_data}, kept as one digest) changed since."
    return [Check(what="data files", status="said", sentence=said)]


def _short(sha: str) -> str:
    return sha[:_SHA_CHARS]


def _cap(text: str) -> str:
    return text[0].upper() + text[1:]
