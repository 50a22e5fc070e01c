"""Which settings exist: their dotted names, their types, and who may set them. Pure.

One row a setting. pydantic stands here, at the border, and validates one value at a
time, so that a bad value costs that value only. `expects` ends the sentence a person
reads when a value is refused.
"""

from __future__ import annotations

import ipaddress
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import urlsplit

import attrs
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, TypeAdapter

from whet_agent.task import Policy
from whet_evaluator.worker.protocol import Limits

Share = Literal["unit", "file", "workspace"]
Edits = Literal["offer", "stream"]
DEFAULT_ENDPOINT = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One setting. `project`: a trusted repository's `[tool.whet]` may set it too."""

    type: TypeAdapter[Any]
    expects: str
    project: bool = False
    secret: bool = False
    """Never quoted in a message."""
    table: bool = False
    """The value is a free table: its keys are the user's own, not settings."""


def row_of(name: str) -> Row | None:
    """The row of a dotted setting name (`policy.iterations`, `targets.gpu1.host`)."""
    match name.split("."):
        case ["targets", _, field]:
            return TARGET_ROWS.get(field)
        case _:
            return ROWS.get(name)


def is_loopback(host: str) -> bool:
    """Whether traffic to `host` stays on this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def origin_of(url: str) -> str:
    """`scheme://host:port` of an endpoint, with the port spelled out: what a key is bound to."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = (parts.hostname or "").lower()
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("it must begin with https:// and name a host")
    if parts.username or parts.password:
        raise ValueError("a key does not belong in the address; use WHET_API_KEY or a key file")
    if parts.query or parts.fragment:
        raise ValueError("put query parameters into `model.query`")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(
            "plain http is for this machine only; use https, or a tunnel such as "
            f"`ssh -L 8000:localhost:{parts.port or 80} {parts.hostname}` and "
            f"http://localhost:8000{parts.path}"
        )
    return url.rstrip("/")


def _word(text: str) -> str:
    """Refuses what an `ssh` or `docker` command line would take for an option."""
    if not text.strip() or text.startswith("-") or re.search(r"\s", text):
        raise ValueError("it must be one word that does not begin with `-`")
    return text


def _inside(path: str) -> str:
    """Refuses paths out of the project, and what pytest would take for an option."""
    file = path.split("::", 1)[0]
    posix, windows = PurePosixPath(file), PureWindowsPath(file)
    outside = posix.is_absolute() or windows.is_absolute() or ".." in (*posix.parts, *windows.parts)
    if not path.strip() or path.startswith("-") or outside:
        raise ValueError("it must lie inside the project")
    return path


def _node(name: str) -> str:
    file, _, function = _inside(name).partition("::")
    if not file.endswith(".py") or not all(p.isidentifier() for p in function.split(".")):
        raise ValueError("write it as FILE.py::FUNCTION")
    return name


def _listed(value: object) -> object:
    """An environment variable has no lists: commas, one word a part."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _arch(name: str) -> str:
    if not re.fullmatch(r"gfx[0-9a-f]{3,5}|sm_\d{2,3}a?", name):
        raise ValueError("known forms are gfx942 and sm_90")
    return name


Text = Annotated[str, Field(min_length=1)]
Word = Annotated[str, AfterValidator(_word)]
Words = tuple[Text, ...]
Inside = Annotated[tuple[Annotated[str, AfterValidator(_inside)], ...], BeforeValidator(_listed)]
Node = Annotated[str, AfterValidator(_node)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _row(type_: Any, expects: str, **options: bool) -> Row:
    return Row(type=TypeAdapter(type_), expects=expects, **options)


TARGET_ROWS: Mapping[str, Row] = {
    "host": _row(Word, "the name of an ssh host"),
    "via": _row(Words, 'a list of words that starts a command there, like ["docker", "exec"]'),
    "python": _row(Text, "the path of a Python on the target"),
    "root": _row(Text, "the project's folder on the target"),
    "env": _row(dict[Variable, str], "a table of environment variables", table=True),
    "setup": _row(str, "one shell line, like `module load rocm`"),
    "device": _row(Word, "`auto` or a device UUID"),
    "arch": _row(Annotated[str, AfterValidator(_arch)], "an architecture such as gfx942"),
}

_MODEL_ROWS: Mapping[str, Row] = {
    "name": _row(Text, "a model's name, as its endpoint spells it"),
    "base_url": _row(Annotated[str, AfterValidator(_endpoint)], "an https endpoint"),
    "key_env": _row(Variable, "the name of an environment variable"),
    "key_file": _row(Text, "the path of a file that holds the key"),
    "key_command": _row(Words, 'a command as a list of words, like ["pass", "show", "key"]'),
    "headers": _row(dict[Text, SecretStr], "a table of headers", secret=True, table=True),
    "query": _row(dict[Text, str], "a table of query parameters", secret=True, table=True),
    "ca_bundle": _row(Text, "the path of a PEM file"),
    "usd_per_million_input": _row(Price, "US dollars per million tokens"),
    "usd_per_million_output": _row(Price, "US dollars per million tokens"),
    "timeout_s": _row(Positive, "seconds without a token before a call is given up"),
}

_TOP_ROWS: Mapping[str, Row] = {
    "arch": _row(
        Annotated[str, AfterValidator(_arch)], "an architecture such as gfx942", project=True
    ),
    "tests": _row(Inside, "test files or node ids inside the project", project=True),
    "benchmarks": _row(Inside, "benchmark node ids inside the project", project=True),
    "benchmark": _row(
        Node,
        "a function without arguments inside the project, as FILE.py::FUNCTION: what it calls "
        "is timed",
        project=True,
    ),
    "reference": _row(
        dict[Node, Node],
        "a table of launchers and what they should equal, both as FILE::FUNCTION",
        project=True,
        table=True,
    ),
    "include": _row(Inside, "patterns of files inside the project", project=True),
    "exclude": _row(Inside, "patterns of files inside the project", project=True),
    "target": _row(Word, "the name of a target"),
    "python": _row(Text, "the path of a Python that has torch and triton"),
    "share": _row(Share, "`unit`, `file` or `workspace`"),
    "edits": _row(Edits, "`offer` or `stream`"),
    "store": _row(Text, "the path of the run store"),
    "no_model": _row(bool, "true or false"),
    "max_file_bytes": _row(Annotated[int, Field(gt=0)], "a number of bytes above 0"),
    "max_total_bytes": _row(Annotated[int, Field(gt=0)], "a number of bytes above 0"),
}


def _policy_rows() -> dict[str, Row]:
    """Every switch of `Policy` is a setting, whatever is added there."""
    hints = typing.get_type_hints(Policy)
    return {
        f"policy.{field.name}": _number_row(field.name, hints[field.name], project=True)
        for field in attrs.fields(Policy)
    }


def _limit_rows() -> dict[str, Row]:
    hints = typing.get_type_hints(Limits)
    return {
        f"limits.{field.name}": _number_row(field.name, hints[field.name], project=False)
        for field in fields(Limits)
    }


_AT_LEAST: Mapping[str, float] = {
    "iterations": 1, "trajectories": 1, "max_completion_tokens": 1, "patience": 1,
    "early_stop": 1.0,
    "stage_s": 1, "tests_budget_s": 1, "differential_s": 0,
    "differential_cases": 0, "memory_bytes": 1 << 20, "disk_bytes": 1 << 20,
    "output_bytes": 1 << 10, "processes": 1,
}  # fmt: skip
_AT_MOST: Mapping[str, float] = {"temperature": 2.0, "trajectories": 64, "iterations": 100_000}


def _number_row(name: str, hint: Any, *, project: bool) -> Row:
    low, high = _AT_LEAST.get(name, 0), _AT_MOST.get(name)
    members = get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)
    if bool in members:
        return _row(hint, "true or false", project=project)
    if not {int, float} & set(members):
        choices = ", ".join(map(str, get_args(hint)))
        return _row(hint, f"one of {choices}" if choices else "a word", project=project)
    kind = "a whole number" if int in members else "a number"
    bounds = f"of at least {low:g}" + (f" and at most {high:g}" if high is not None else "")
    kept = int if int in members else float
    finite: dict[str, Any] = {} if kept is int else {"allow_inf_nan": False}
    number: Any = Annotated[kept, Field(ge=low, le=high, **finite)]
    return _row(number, f"{kind} {bounds}", project=project)


ROWS: Mapping[str, Row] = {
    **_TOP_ROWS,
    **{f"model.{name}": row for name, row in _MODEL_ROWS.items()},
    **_policy_rows(),
    **_limit_rows(),
}

SHORT_NAMES: Mapping[str, str] = {
    "model": "model.name",
    **{name.split(".", 1)[1]: name for name in ROWS if name.startswith("policy.")},
    **{name: f"model.{name}" for name in _MODEL_ROWS if name not in {"name", "headers", "query"}},
}
"""What flags, editors and `WHET_*` may call a setting for short: `max_usd`, `base_url`."""
