"""From a `Target` to an argument list, and the worker as bytes. Pure; no I/O but reading
our own package.

A prefix is a chain of *hops*. Most (`docker exec -i NAME`, `srun`, `env -i`, `unshare`)
exec the words that follow them. Two kinds hand them to a shell as **one line** instead:
ssh, which joins its words with spaces for the remote login shell, and anything that ends
in `-c` (`su build -c`, `bash -lc`). What follows such a hop is quoted once for it, so
words survive any nesting.
"""

from __future__ import annotations

import io
import re
import shlex
import zipfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable

from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Target
from whet_evaluator.worker import environment
from whet_evaluator.worker.folders import PREFIX

PACKAGE = "whet_worker"
TOO_OLD = "whet: this Python is too old: "

# One line, and no `!`, which a C shell expands even inside quotes. A reader with a
# buffer of one byte takes exactly what it is asked for: the protocol follows on the
# same pipe.
BOOT = (
    "import io,os,runpy,sys,tempfile,zipfile;"
    f'sys.version_info<(3,10) and sys.exit("{TOO_OLD}"+sys.version.split()[0]);'
    "r=io.BufferedReader(io.FileIO(0,closefd=False),1);"
    "z=zipfile.ZipFile(io.BytesIO(r.read(int(r.readline()))));"  # first: an end here leaves nothing
    f'd=tempfile.mkdtemp(prefix="{PREFIX}%d-"%os.getpid());z.extractall(d);'
    "sys.dont_write_bytecode=True;"
    "sys.path.insert(0,d);"
    f'runpy.run_module("{PACKAGE}",run_name="__main__",alter_sys=True)'
)

_SSH_OPTIONS = (
    "-T", "-oBatchMode=yes", "-oConnectTimeout=15", "-oServerAliveInterval=5",
    "-oServerAliveCountMax=3",
)  # fmt: skip
_SSH_FLAGS_WITH_VALUE = frozenset("BbcDEeFIiJLlmOoPpQRSWw")
_SHELL_LINE_FLAG = re.compile(r"^-[a-z]*c$|^--command$")
_BUNDLE_DATE = (1980, 1, 1, 0, 0, 0)


def command_line(target: Target) -> list[str]:
    """The argument list that starts the worker of `target`.

    `target.env` is not in it: arguments are public to every user of a host, so variables
    travel in `Open`. Raises `EvaluatorError` for one that looks like a key.
    """
    for name in target.env:
        if environment.is_secret(name):
            raise EvaluatorError(
                "target",
                f"the target {target.name} sets {name}, which looks like a key; candidates could "
                "read it, so remove it from the target's env",
            )
    worker = [target.python, "-I", "-c", BOOT]
    if target.setup:
        # Login shell for `module`; its input is the protocol's, so the line gets none.
        line = f'{{ {target.setup}\n}} </dev/null && exec "$@"'
        worker = ["sh", "-lc", line, "sh", *worker]
    return _joined(list(target.via), worker)


def is_local(target: Target) -> bool:
    """Whether the worker runs on this very machine, in this file system."""
    return not target.via


@lru_cache(maxsize=1)
def bundle() -> bytes:
    """The worker package as a zip named `whet_worker`: the same bytes for the same sources."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        sources = dict(_sources(resources.files("whet_evaluator.worker"), ""))
        for name in sorted(sources):
            entry = zipfile.ZipInfo(f"{PACKAGE}/{name}", date_time=_BUNDLE_DATE)
            entry.external_attr = 0o600 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, sources[name].read_bytes())
    return buffer.getvalue()


def _sources(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    """Every Python file of the worker's package and its packages, by relative path."""
    for item in folder.iterdir():
        if item.name.endswith(".py"):
            yield prefix + item.name, item
        elif item.is_dir() and item.joinpath("__init__.py").is_file():
            yield from _sources(item, f"{prefix}{item.name}/")


def greeting() -> bytes:
    """What `BOOT` reads: the bundle's length in a line, then the bundle."""
    archive = bundle()
    return b"%d\n%b" % (len(archive), archive)


def _joined(via: list[str], command: list[str]) -> list[str]:
    """`via + command`, with everything after a shell hop as one quoted word."""
    for index, word in enumerate(via):
        if word.rpartition("/")[2] in ("ssh", "ssh.exe"):
            end = _end_of_ssh(via, index)
            line = shlex.join(_joined(via[end:], command))
            return [*via[:end], *_SSH_OPTIONS, line]
        if _SHELL_LINE_FLAG.match(word) and index == len(via) - 1:
            return [*via, shlex.join(command)]
    return [*via, *command]


def _end_of_ssh(via: Sequence[str], start: int) -> int:
    """Index after ssh's options and destination. Options may follow the destination."""
    index, has_destination = start + 1, False
    while index < len(via):
        word = via[index]
        if word.startswith("-") and len(word) > 1:
            takes_next = len(word) == 2 and word[1] in _SSH_FLAGS_WITH_VALUE
            index += 2 if takes_next else 1
        elif has_destination:
            break
        else:
            has_destination = True
            index += 1
    return min(index, len(via))
