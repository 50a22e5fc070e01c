"""Five sources into one table of values: later wins, a bad value costs itself. Pure.

Three rules live here. A repository may set only what the table of settings allows, and
only in a trusted folder. What was configured as a secret for one endpoint (a key's
source, headers, query) is dropped when a later source names another. And a person's own
value that cannot be used is kept in mind as *unusable*, so that no run begins with another
one in its place: with no bound on money, or with another endpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from pydantic import ValidationError

from whet_agent.settings.sources import Kind, Source
from whet_agent.settings.table import DEFAULT_ENDPOINT, SHORT_NAMES, origin_of, row_of
from whet_agent.settings.trust import HOW_TO_TRUST


@attrs.frozen
class Unusable:
    """A person's own word that cannot be followed; `sentence` says what to mend."""

    kind: Kind
    sentence: str


@attrs.define
class Merged:
    """What the sources come to: valid values by dotted name, and their story."""

    values: dict[str, Any] = attrs.field(factory=dict)
    origins: dict[str, str] = attrs.field(factory=dict)
    problems: list[str] = attrs.field(factory=list)
    refused: list[str] = attrs.field(factory=list)
    bound: dict[str, str] = attrs.field(factory=dict)
    """Settings that are secrets: the endpoint that was in force where each was given."""
    key_moved: str | None = None
    """Why a configured key does not count for the endpoint now in force."""
    unusable: dict[str, Unusable] = attrs.field(factory=dict)
    """What the person set and no later source mended, by the setting's name or the file."""


_BOUND = frozenset(
    f"model.{name}" for name in ("key_env", "key_file", "key_command", "headers", "query")
)


def merge(sources: Sequence[Source], *, root: Path, trusted: bool, user_file: Path) -> Merged:
    """`root` is the project's, to which nested project files' paths are made relative."""
    merged = Merged()
    for source in sources:
        merged.problems += (*source.unreadable, *source.problems)
        if source.kind != "project":
            for sentence in source.unreadable:
                merged.unusable[source.where] = Unusable(source.kind, sentence)
        if source.kind == "project" and source.values and not trusted:
            merged.refused.append(
                f"{source.where}: [tool.whet] does not count, this folder is not trusted; "
                f"{HOW_TO_TRUST}."
            )
            continue
        for name, raw in source.values.items():
            _take(merged, source, name, raw, root=root, user_file=user_file)
        endpoint = origin_of(merged.values.get("model.base_url", DEFAULT_ENDPOINT))
        merged.bound |= {name: endpoint for name in source.values if name in _BOUND}
    _drop_moved_secrets(merged)
    return merged


def _drop_moved_secrets(merged: Merged) -> None:
    """What was configured for one endpoint is never sent to another."""
    origin = origin_of(merged.values.get("model.base_url", DEFAULT_ENDPOINT))
    for name, bound in merged.bound.items():
        if bound == origin or name not in merged.values:
            continue
        sentence = (
            f"{merged.origins[name]}: `{name}` is for {bound}, but the endpoint is now {origin}; "
            f"{'set WHET_API_KEY' if 'key' in name else 'set it'} for this one."
        )
        del merged.values[name], merged.origins[name]
        merged.problems.append(sentence)
        if "key" in name:
            merged.key_moved = sentence


def _take(
    merged: Merged, source: Source, name: str, raw: Any, *, root: Path, user_file: Path
) -> None:
    row = row_of(name)
    assert row is not None, name
    if source.kind == "project" and not row.project:
        merged.refused.append(
            f"{source.where}: `{name}` is refused, a repository may not set it; "
            f"put it into {user_file} if you want it."
        )
        return
    try:
        value = row.type.validate_python(raw)
    except ValidationError as error:
        sentence = _bad_value(source, name, raw, error)
        merged.problems.append(sentence)
        if source.kind != "project":
            merged.unusable[name] = Unusable(source.kind, sentence)
        return
    merged.unusable.pop(name, None)
    if name == "policy.max_usd" and source.kind == "project":
        value = min(value, merged.values.get(name, value))  # a repository may only save money
    if source.directory is not None and isinstance(value, tuple):
        value = _from_root(value, source.directory, root)
    merged.values[name] = value
    merged.origins[name] = source.where


def _bad_value(source: Source, name: str, raw: Any, error: ValidationError) -> str:
    row = row_of(name)
    assert row is not None
    reason = error.errors(include_input=False, include_url=False)[0]
    cause = reason.get("ctx", {}).get("error")
    given = "" if row.secret else f", not {raw!r:.80}"
    what = _flag(name) if source.kind == "flags" else f"{source.where}: `{name}`"
    because = f" ({cause})" if cause is not None else ""
    return f"{what} must be {row.expects}{given}{because}; mend or remove it."


def _flag(name: str) -> str:
    """`model.base_url` as it is typed: `--base-url`."""
    short = next((short for short, full in SHORT_NAMES.items() if full == name), name)
    return f"--{short.replace('_', '-')}"


def _from_root(paths: tuple[str, ...], directory: Path, root: Path) -> tuple[str, ...]:
    """A nested project's paths are relative to its own folder, ours to the root."""
    inside = directory.relative_to(root).as_posix()
    return paths if inside == "." else tuple(f"{inside}/{path}" for path in paths)
