"""What /proc tells of the processes below one: who they are, and how much memory is theirs alone.

Every answer may be out of date when it arrives: a process that is gone by then is no error.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_KILOBYTE = 1024


def descendants(root: int) -> list[int]:
    """Every live process below `root`, nearest first."""
    return [pid for pid in _below(root) if _state(pid) not in ("Z", "X", "")]


def family(root: int) -> set[int]:
    """`root` and every process below it, those among them that are about to go."""
    return {root, *_below(root)}


def _below(root: int) -> list[int]:
    found: list[int] = []
    frontier = [root]
    while frontier:
        below = [pid for parent in frontier for pid in children(parent)]
        found += below
        frontier = below
    return found


def pid_below(ancestor: int, pid: int) -> int | None:
    """Our number of the process that calls itself `pid`, in a pid namespace or not."""
    for candidate in (ancestor, *descendants(ancestor)):
        numbers = _pids_of(candidate)  # ours, then one for each namespace further in
        if pid == numbers[min(1, len(numbers) - 1)]:
            return candidate
    return None


def children(pid: int) -> Iterator[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                yield from map(int, file.read().split())
        except FileNotFoundError:
            yield from _children_by_scan(pid)
            return
        except OSError:
            continue


def private_bytes(pid: int) -> int:
    """Anonymous and shared-memory pages: not the libraries all children share."""
    total = 0
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith(("RssAnon:", "RssShmem:")):
                    total += int(line.split()[1]) * _KILOBYTE
    except OSError:
        return 0
    return total


def _children_by_scan(parent: int) -> Iterator[int]:
    """For kernels without the `children` file."""
    for name in os.listdir("/proc"):
        if name.isdigit() and _stat_fields(int(name))[1:2] == [str(parent)]:
            yield int(name)


def _state(pid: int) -> str:
    return (_stat_fields(pid) or [""])[0]


def _stat_fields(pid: int) -> list[str]:
    """State, parent and what follows: the fields after the name, which may hold anything."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def _pids_of(pid: int) -> list[int]:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith("NSpid:"):
                return [int(number) for number in line.split()[1:]]
    return [pid]
