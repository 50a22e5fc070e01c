"""Model keys: where they come from, and to whom they may go.

A `Key` is bound to one endpoint's origin and hides its secret in every text form;
`reveal` is called in one place, when the request's header is written.
"""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from whet_agent.settings.table import is_loopback, origin_of

_COMMAND_LIMIT_S = 30.0


class Key:
    """A secret for one origin. Not comparable, not printable, not picklable."""

    __slots__ = ("_secret", "origin")

    def __init__(self, secret: str, *, origin: str) -> None:
        self._secret = secret
        self.origin = origin

    def reveal(self) -> str:
        return self._secret

    def __repr__(self) -> str:
        return f"Key(<hidden>, origin={self.origin!r})"

    def __reduce__(self) -> str:
        raise TypeError("a key is not stored")


class KeyUnavailable(Exception):  # noqa: N818 - it names a state of the world, cure included
    """`str()` is one sentence with the cure."""


@attrs.frozen(kw_only=True)
class KeySources:
    """What may give a key for `base_url`, as settings found it.

    `refused` says why a configured source does not count here: the key was given for
    another endpoint than the one that is in force now.
    """

    base_url: str
    editor: Key | None = None
    environment: Mapping[str, Key] = attrs.field(factory=dict)
    variable: str | None = None
    """The environment variable that settings name; None: the usual two."""
    file: str | None = None
    command: tuple[str, ...] = ()
    has_headers: bool = False
    """Extra headers are configured, so the endpoint may need no key of ours."""
    refused: str | None = None


def load_key(sources: KeySources) -> Key | None:
    """The key to send, or None where the endpoint needs none.

    Order: editor, named variable, file, command, then `WHET_API_KEY`, `OPENAI_API_KEY`.
    Raises `KeyUnavailable`. May run the key command, for at most 30 s.
    """
    origin = origin_of(sources.base_url)
    if sources.editor is not None and sources.editor.origin == origin:
        return sources.editor
    if sources.variable is not None:
        return _from_variable(sources, sources.variable)
    if sources.file is not None:
        return Key(_read_file(Path(sources.file).expanduser()), origin=origin)
    if sources.command:
        return Key(_run_command(sources.command), origin=origin)
    for key in sources.environment.values():
        if key.origin == origin:
            return key
    if sources.refused is not None:
        raise KeyUnavailable(sources.refused)
    if is_loopback(_host(sources.base_url)) or sources.has_headers:
        return None
    raise KeyUnavailable(_no_key(origin))


def _no_key(origin: str) -> str:
    return (
        f"No key for {origin}: set WHET_API_KEY, or `key_env`, `key_file` or `key_command` under "
        "[model] in your config.toml, or use --no-model; endpoints on this machine need none."
    )


def _from_variable(sources: KeySources, name: str) -> Key:
    key = sources.environment.get(name)
    if key is None:
        raise KeyUnavailable(f"`model.key_env` names {name}, which is not set; export it.")
    return key


def _read_file(path: Path) -> str:
    try:
        text = path.read_text("utf-8").strip()
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise KeyUnavailable(f"The key file {path} cannot be read ({reason}).") from None
    if sys.platform != "win32" and mode & (stat.S_IRGRP | stat.S_IROTH):
        raise KeyUnavailable(f"Others can read the key file {path}; run `chmod 600 {path}`.")
    return _one_line(text, f"The key file {path}")


def _run_command(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False,
            timeout=_COMMAND_LIMIT_S, text=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise KeyUnavailable(
            f"The key command `{command[0]}` did not end within {_COMMAND_LIMIT_S:g} s; "
            "unlock its store first."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyUnavailable(f"The key command `{command[0]}` did not run ({error}).") from None
    if done.returncode != 0:
        raise KeyUnavailable(
            f"The key command `{command[0]}` ended with status {done.returncode}; "
            "run it by hand to see why."
        )
    return _one_line(done.stdout.strip(), f"The key command `{command[0]}`")


def _one_line(text: str, what: str) -> str:
    if not text:
        raise KeyUnavailable(f"{what} gave nothing; it must give the key alone.")
    if any(character.isspace() for character in text) or not text.isascii():
        raise KeyUnavailable(f"{what} gave more than one word; it must give the key alone.")
    return text


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
