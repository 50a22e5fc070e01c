"""Where settings come from: user file, project file, editor, environment, flags.

Each becomes a `Source`: flat dotted names and raw values, with the problems met on
the way. Nothing raises; what cannot be read is a sentence that names the cure.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from whet_agent.settings.table import ROWS, SHORT_NAMES, TARGET_ROWS, row_of

Kind = Literal["default", "user file", "project", "editor", "environment", "flags"]


@attrs.frozen(kw_only=True)
class Source:
    """Raw values of one origin. `where` names it to a person (a path, `WHET_*`, ...)."""

    kind: Kind
    where: str
    values: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    problems: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    """Why nothing of it could be read."""
    directory: Path | None = None
    """Folder of a project file: its paths are relative to it."""


def load_user_file(path: Path) -> Source:
    """The person's own file. Absent is fine."""
    document, unreadable = _load_toml(path)
    values, unknown = flatten(document, where=str(path))
    return Source(
        kind="user file", where=str(path), values=values, problems=unknown, unreadable=unreadable
    )


def load_project_files(root: Path, path: Path | None) -> tuple[Source, ...]:
    """`[tool.whet]` of the root's `pyproject.toml`, then of the one nearest above `path`."""
    files = [root / "pyproject.toml"]
    nearest = _nearest_pyproject(root, path) if path is not None else None
    if nearest is not None and nearest not in files:
        files.append(nearest)
    return tuple(source for file in files if (source := _load_project(file)) is not None)


def editor_source(editor: Mapping[str, Any]) -> Source:
    """The client's settings: camelCase or snake_case, nested, dotted, or under `whet`."""
    inner = editor.get("whet", editor)
    document = dict(inner) if isinstance(inner, Mapping) else {}
    for private in ("apiKey", "api_key", "trusted"):
        document.pop(private, None)
    values, problems = flatten(_snake(document), where="the editor's settings")
    return Source(kind="editor", where="editor", values=values, problems=problems)


def environment_source(environ: Mapping[str, str]) -> Source:
    """`WHET_*`: `WHET_MAX_USD`, `WHET_MODEL_BASE_URL`, `WHET_TARGETS_GPU1_HOST`, ..."""
    names = {f"WHET_{name.replace('.', '_').upper()}": name for name in ROWS}
    names |= {f"WHET_{short.upper()}": name for short, name in SHORT_NAMES.items()}
    values: dict[str, Any] = {}
    problems: list[str] = []
    for variable in sorted(key for key in environ if key.startswith("WHET_")):
        name = names.get(variable) or _target_variable(variable)
        if name is not None:
            values[name] = _from_text(name, environ[variable])
        elif variable not in OTHER_VARIABLES and (near := _near(variable, names)):
            problems.append(f"{variable} is not a setting of Whet; did you mean {near}?")
    return Source(kind="environment", where="WHET_*", values=values, problems=tuple(problems))


def flag_source(flags: Mapping[str, Any]) -> Source:
    """The command line. None and empty lists mean that a flag was not given."""
    given = {key: value for key, value in flags.items() if value not in (None, (), [])}
    given.pop("trust", None)
    values, problems = flatten(given, where="the command line")
    return Source(kind="flags", where="flag", values=values, problems=problems)


OTHER_VARIABLES = frozenset({"WHET_API_KEY", "WHET_TRUST", "WHET_CONFIG"})
"""Read by us, but not settings."""


def flatten(document: Mapping[str, Any], *, where: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Nested tables to dotted names. Unknown names become problems, with a suggestion."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in _leaves(document, ""):
        known = name if row_of(name) is not None else SHORT_NAMES.get(name)
        if known is not None:
            values[known] = value
        else:
            problems.append(_unknown(name, where))
    return values, tuple(problems)


def _leaves(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = f"{prefix}{key}"
        row = row_of(name)
        if row is None and isinstance(value, Mapping):
            yield from _leaves(value, f"{name}.")
        elif value is not None:
            yield name, value


def _unknown(name: str, where: str) -> str:
    near = _near(name, [*ROWS, *SHORT_NAMES])
    if name.startswith("targets.") and name.count(".") == 2:
        near = f"one of {', '.join(TARGET_ROWS)}"
    hint = f"did you mean {near}?" if near else "remove it."
    return f"{where}: `{name}` is not a setting of Whet; {hint}"


def _near(name: str, known: Any) -> str | None:
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.8)
    return f"`{found[0]}`" if found else None


def _load_project(file: Path) -> Source | None:
    document, problems = _load_toml(file)
    tool = document.get("tool", {})
    table = tool.get("whet") if isinstance(tool, Mapping) else None
    if table is None and not problems:
        return None
    if table is not None and not isinstance(table, Mapping):
        problems = (f"{file}: `tool.whet` must be a table; write `[tool.whet]`.",)
        table = {}
    values, unknown = flatten(table or {}, where=str(file))
    return Source(
        kind="project", where=str(file), values=values, problems=problems + unknown,
        directory=file.parent,
    )  # fmt: skip


def _nearest_pyproject(root: Path, path: Path) -> Path | None:
    """Looks upwards from `path`, never above `root`; None for a file outside it."""
    folder = path if path.is_absolute() else root / path
    if root not in folder.parents:
        return None
    for parent in folder.parents:
        file = parent / "pyproject.toml"
        if parent == root or file.is_file():
            return file
    return None


def _load_toml(file: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    try:
        return tomllib.loads(file.read_text("utf-8-sig")), ()
    except (FileNotFoundError, NotADirectoryError):
        return {}, ()
    except tomllib.TOMLDecodeError as error:
        return {}, (f"{file} is not valid TOML ({error}); fix that place, nothing of it counts.",)
    except UnicodeDecodeError:
        return {}, (f"{file} is not UTF-8 text; save it as UTF-8, nothing of it counts.",)
    except OSError as error:
        return {}, (f"{file} cannot be read ({error.strerror}); check its permissions.",)


def _snake(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Setting names to snake_case; names of targets and keys of free tables stay."""
    result: dict[str, Any] = {}
    for key, value in table.items():
        is_target_name = prefix == "targets."
        spelled = key if is_target_name else _snake_name(key)
        name = f"{prefix}{spelled}"
        row = row_of(name)
        inner = isinstance(value, Mapping) and not (row is not None and row.table)
        result[spelled] = _snake(value, f"{name}.") if inner else value
    return result


def _snake_name(key: str) -> str:
    """`maxUsd` to `max_usd`; in `targets.gpuBox.rootPath` the target's name stays."""
    parts = key.split(".")
    keep = 1 if parts[0] == "targets" else None
    return ".".join(
        part if index == keep else re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", part).lower()
        for index, part in enumerate(parts)
    )


def _target_variable(variable: str) -> str | None:
    """`WHET_TARGETS_GPU1_HOST` to `targets.gpu1.host`."""
    for field in TARGET_ROWS:
        match = re.fullmatch(rf"WHET_TARGETS_(.+)_{field.upper()}", variable)
        if match:
            return f"targets.{match[1].lower()}.{field}"
    return None


def _from_text(name: str, text: str) -> Any:
    """Tables and lists come as JSON in the environment; anything else is a word."""
    row = row_of(name)
    if text[:1] in {"[", "{"} and row is not None:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
