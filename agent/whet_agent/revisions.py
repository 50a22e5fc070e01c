"""The other version of a file: from git, or from a file. Runs git, changes nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import attrs

from whet_agent.project import UserError
from whet_agent.source.codebase import decode, load_text

_GIT_S = 20.0
HEAD = "HEAD"


class UsageError(UserError):
    """What was named does not exist: the command line's status 2."""


@attrs.frozen(kw_only=True)
class Version:
    """A whole file as it was. `name` is what a person calls it, `differing` the other Python
    files of the repository that differ from that revision now, as paths from its root `top`."""

    name: str
    text: str
    differing: tuple[str, ...] = ()
    top: Path = Path()
    commit: str = ""
    """What the name stood for, where it is a revision: names move."""


def load_version(path: Path, against: str) -> Version:
    """`against` is a file if there is one of that name, else a revision of git's.

    Raises `UsageError` for neither, and for a file that the revision does not have.
    """
    file = Path(against).expanduser()
    if file.is_file():
        try:
            return Version(name=against, text=load_text(file))
        except (OSError, ValueError) as error:
            raise UsageError(f"{against} cannot be read as Python source ({error}).") from None
    found = load_revision(path, against)
    if found is None:
        raise UsageError(
            f"{against} is no file, and git knows no {path.name} under that revision: name a "
            "file, or a commit, branch or tag that has it."
        )
    return found


def load_revision(path: Path, revision: str) -> Version | None:
    """The file at a revision, None where there is none such."""
    text = load_committed(path, revision)
    if text is None:
        return None
    changed = _git(path.parent, "diff", "--name-only", "--end-of-options", revision, "--") or b""
    top = _git(path.parent, "rev-parse", "--show-toplevel") or b""
    root = Path(top.decode().strip() or path.parent)
    own = os.path.relpath(path.resolve(), root)
    names = [name for name in changed.decode("utf-8", "replace").splitlines() if name != own]
    differing = tuple(name for name in names if name.endswith(".py"))
    commit = _git(path.parent, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") or b""
    return Version(
        name=revision, text=text, differing=differing, top=root, commit=commit.decode().strip()
    )


def load_committed(path: Path, revision: str = HEAD) -> str | None:
    """The file at a revision; None without git, repository, revision or file."""
    commit = _git(path.parent, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if commit is None:
        return None
    blob = _git(path.parent, "cat-file", "blob", f"{commit.decode().strip()}:./{path.name}")
    try:
        return None if blob is None else decode(blob)
    except ValueError:
        return None


def _git(folder: Path, *arguments: str) -> bytes | None:
    """Output of git in `folder`, None when it failed. Never asks for a password."""
    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=env, capture_output=True, check=False,
            timeout=_GIT_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
