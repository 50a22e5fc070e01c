"""What a candidate sees of the file system: everything, but for the places where people
and programs keep what is theirs.

Homes, temporary folders and `/run` are covered by empty ones; what Python, its packages
and the project need below them is put back, read-only. `/run` goes because sockets there
(a session bus, an agent, a container engine) lead around every other wall.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import re
import site
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_COVERED = ("/home", "/root", "/tmp", "/var/tmp", "/run", "/media")
_NEVER_COVERED = ("/", "/usr", "/bin", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev", "/opt")
_DEVICES = (
    "null", "zero", "full", "random", "urandom", "tty", "nvidia*", "kfd", "dri", "dxg",
)  # fmt: skip
_NEEDED_BELOW_RUN = ("/run/opengl-driver", "/run/current-system", "/tmp/nvidia-mps")
_PATH_LISTS = (
    "PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LIBRARY_PATH", "CPATH", "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "CUDA_HOME", "CUDA_PATH", "ROCM_PATH",
    "ROCM_HOME", "HIP_PATH", "LD_PRELOAD", "CUDA_MPS_PIPE_DIRECTORY",
)  # fmt: skip
_EDITABLE_FINDERS = ("__editable__*.py", "_*editable*.py")
_ABSOLUTE_LITERAL = re.compile(r"""["'](/[^"'\n]+)["']""")
_SECRET_FILES = re.compile(
    r"^(\.env(\..*)?|\.netrc|\.npmrc|\.pypirc|\.git-credentials|.*\.(pem|key))$"
)


@dataclass(frozen=True, kw_only=True)
class View:
    """All paths are real ones. `covered` come as empty folders, `shown` are put back into
    them read-only, `links` (link, target) too; `masked` files read as empty."""

    covered: tuple[str, ...]
    shown: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    masked: tuple[str, ...]
    devices: tuple[str, ...]
    homes: tuple[str, ...]
    exposed: str
    """Why a home is in sight all the same, or empty."""


EVERYTHING = View(
    covered=(), shown=(), links=(), masked=(), devices=(), homes=(), exposed="nothing is covered"
)


def host_view(env: Mapping[str, str], needed: Iterable[str]) -> View:
    """The view for Python processes with the environment `env` that use the `needed` paths."""
    homes = _homes(env)
    covered = _outermost(
        real
        for path in (*homes, *_COVERED, tempfile.gettempdir(), env.get("XDG_RUNTIME_DIR", ""))
        if path and os.path.isdir(real := os.path.realpath(path)) and real not in _NEVER_COVERED
    )
    shown: list[str] = []
    links: dict[str, str] = {}
    exposed = _uncoverable(homes)
    indispensable = _python_paths(env)
    for path in (*indispensable, *needed, *_listed_paths(env), *_NEEDED_BELOW_RUN):
        if not path.startswith("/"):
            continue
        real = _follow(path, covered, links)
        if not os.path.exists(real) or not _within(real, covered):
            continue
        if any(below(home, real) for home in homes):
            if path not in indispensable:
                continue  # its files that count are in the scratch
            exposed = exposed or f"Python needs {path}, which holds the home folder"
        shown.append(real)
    shown = list(_outermost(shown))
    return View(
        covered=covered,
        shown=tuple(shown),
        links=tuple((link, to) for link, to in links.items() if not _within(link, shown)),
        masked=tuple(_secrets(shown)),
        devices=tuple(_devices()),
        homes=homes,
        exposed=exposed,
    )


def import_root(file: str) -> str:
    """The folder from which `file` is imported: above its outermost package."""
    folder = os.path.dirname(os.path.realpath(file))
    while os.path.exists(os.path.join(folder, "__init__.py")):
        folder = os.path.dirname(folder)
    return folder


def below(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies in it; both real."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _homes(env: Mapping[str, str]) -> tuple[str, ...]:
    named = [env.get("HOME", ""), os.environ.get("HOME", "")]
    with contextlib.suppress(KeyError):  # containers run as users that nobody entered
        named.append(pwd.getpwuid(os.getuid()).pw_dir)
    return tuple(dict.fromkeys(os.path.realpath(path) for path in named if os.path.isdir(path)))


def _uncoverable(homes: Iterable[str]) -> str:
    bad = next((home for home in homes if home in _NEVER_COVERED), None)
    return f"the home folder is {bad}" if bad else ""


def _python_paths(env: Mapping[str, str]) -> list[str]:
    """Where this Python's own files and packages lie, editable installs included. The
    worker runs isolated, so the user's own site is added by hand."""
    folders = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *sys.path]
    folders += [sys.executable, getattr(sys, "_base_executable", sys.executable)]
    base = env.get("PYTHONUSERBASE") or os.path.join(env.get("HOME", "/"), ".local")
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    sites = [os.path.join(base, "lib", version, "site-packages"), *site.getsitepackages()]
    return [*folders, sites[0], *(path for folder in sites for path in _editable(folder))]


def _editable(site_packages: str) -> list[str]:
    """Folders that an editable install points to: lines of `.pth` files, literals of finders."""
    found = []
    for file in glob.glob(os.path.join(glob.escape(site_packages), "*.pth")):
        found += [line for line in _text(file).splitlines() if line.startswith("/")]
    for pattern in _EDITABLE_FINDERS:
        for file in glob.glob(os.path.join(glob.escape(site_packages), pattern)):
            found += _ABSOLUTE_LITERAL.findall(_text(file))
    return found


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as lines:
            return lines.read()
    except OSError:
        return ""


def _listed_paths(env: Mapping[str, str]) -> list[str]:
    return [
        path
        for name in _PATH_LISTS
        for path in env.get(name, "").split(os.pathsep)
        if path.startswith("/")
    ]


def _follow(path: str, covered: tuple[str, ...], links: dict[str, str], depth: int = 0) -> str:
    """The real path; every link on the way that lies in a covered place enters `links`."""
    real = "/"
    for part in os.path.abspath(path).split("/"):
        here = os.path.join(real, part)
        if depth < 40 and os.path.islink(here):
            target = os.readlink(here)
            if _within(here, covered):
                links[here] = target
            here = _follow(os.path.join(real, target), covered, links, depth + 1)
        real = here
    return real


def _within(path: str, folders: Iterable[str]) -> bool:
    return any(below(path, folder) for folder in folders)


def _outermost(paths: Iterable[str]) -> tuple[str, ...]:
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not _within(path, kept):
            kept.append(path)
    return tuple(kept)


def _secrets(shown: Iterable[str]) -> list[str]:
    """Files at the top of what is shown that look like keys: an editable project's `.env`."""
    found = []
    for folder in shown:
        if os.path.isdir(folder):
            found += [
                entry.path
                for entry in os.scandir(folder)
                if _SECRET_FILES.match(entry.name) and entry.is_file(follow_symlinks=False)
            ]
    return found


def _devices() -> list[str]:
    return sorted(path for name in _DEVICES for path in glob.glob(f"/dev/{name}"))
