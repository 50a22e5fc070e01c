"""Turns a worker that did not start, or is gone, into one sentence with the cure. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from whet_evaluator.errors import Culprit, EvaluatorError
from whet_evaluator.evaluation import Target
from whet_evaluator.targets import TOO_OLD
from whet_evaluator.worker.protocol import Failure
from whet_evaluator.worker.records import Facts

_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


@dataclass(frozen=True, slots=True)
class _Cause:
    pattern: str
    culprit: Culprit
    sentence: str
    retryable: bool = False


# Searched in the last words of ssh, shells, containers and Python; the first match wins.
_KNOWN = (
    _Cause(
        "REMOTE HOST IDENTIFICATION HAS CHANGED|host key for .* has changed",
        "host key",
        "the host key of {host} is not the one you trusted; find out why, then renew it with "
        "`ssh-keygen -R` and one `ssh` by hand",
    ),
    _Cause(
        "Host key verification failed|No .* host key is known",
        "host key",
        "the host key of {host} is not known yet; log in once by hand with `{via}` to accept it",
    ),
    _Cause(
        "Could not resolve hostname|Name or service not known",
        "target",
        "the name {host} does not resolve; check the target's host and your network",
        retryable=True,
    ),
    _Cause(
        "Connection refused|No route to host|Network is unreachable|Connection timed out"
        "|Operation timed out|Connection closed by|kex_exchange_identification",
        "target",
        "{host} is unreachable ({line}); check that it is up and that `{via}` works",
        retryable=True,
    ),
    _Cause(
        r"Permission denied \(|Too many authentication failures",
        "target",
        "{host} refused the login ({line}); make `{via}` work without a password, by key or agent",
    ),
    _Cause(
        re.escape(TOO_OLD),
        "python",
        "{python} on {where} is Python {tail}; Whet's worker needs 3.10 or later, so set the "
        "target's python to a newer one",
    ),
    _Cause(
        "Unknown option: -I|SyntaxError: invalid syntax",
        "python",
        "{python} on {where} is too old; set the target's python to 3.10 or later",
    ),
    _Cause(
        "No space left on device|Disk quota exceeded",
        "target",
        "the disk of {where} is full; free some space below its TMPDIR",
    ),
    _Cause(
        "No module named '?(zlib|ctypes|_ctypes|_socket|ssl)",
        "python",
        "{python} on {where} was built without a standard module ({line}); set the target's "
        "python to a complete one",
    ),
    _Cause(
        "No such container|is not running|Cannot connect to the Docker daemon",
        "target",
        "the container of {where} is not there ({line}); start it first",
        retryable=True,
    ),
    _Cause(
        "not found|No such file or directory|can't open|cannot run",
        "python",
        "{python} was not found on {where} ({line}); set the target's python to the interpreter "
        "that has torch and triton",
    ),
    _Cause(
        "Permission denied",
        "python",
        "{python} on {where} may not be executed ({line}); set the target's python",
    ),
)


def explain_exit(target: Target, status: int | None, stderr: str) -> EvaluatorError:
    """For a worker that ended before its hello. `status` is the prefix's exit status."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for cause in _KNOWN:
        for line in reversed(lines):
            match = re.search(cause.pattern, line)
            if match:
                words = _words(target, line, line[match.end() :].strip())
                return EvaluatorError(
                    cause.culprit, cause.sentence.format(**words), retryable=cause.retryable
                )
    last = lines[-1] if lines else f"exit status {status}"
    if status in (_NOT_FOUND, _NOT_EXECUTABLE):
        words = _words(target, last, "")
        sentence = "{python} could not be run on {where} ({line}); set the target's python"
        return EvaluatorError("python", sentence.format(**words))
    return EvaluatorError(
        "target", f"the worker on {_where(target)} did not start: {last}; try `whet doctor`"
    )


def explain_spawn(target: Target, error: OSError) -> EvaluatorError:
    """For a command that could not even be started here."""
    if target.via:
        return EvaluatorError(
            "target",
            f"{target.via[0]} cannot be run ({error.strerror}); install it or change the target",
        )
    return EvaluatorError(
        "python",
        f"{target.python} cannot be run ({error.strerror}); set the target's python to the "
        "interpreter that has torch and triton",
    )


def explain_failure(failure: Failure) -> EvaluatorError:
    """For a request that the worker could not carry out. Its sentence has the cure already."""
    culprit: Culprit
    match failure.failure:
        case "cancelled":
            culprit = "cancelled"
        case "no torch" | "no triton" | "no pytest":
            culprit = "package"
        case "no space" | "not a directory" | "isolation":
            culprit = "target"
        case "device wedged" | "device busy":
            culprit = "device"
        case "changed underneath":
            culprit = "workspace"
        case "tests":
            culprit = "tests"
        case _:
            culprit = "worker"
    retryable = failure.failure in ("device busy", "changed underneath")
    return EvaluatorError(culprit, failure.message, retryable=retryable)


def connection_lost(target: Target, stderr: str) -> EvaluatorError:
    """For a link that broke in the middle."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    why = f" ({lines[-1]})" if lines else ""
    return EvaluatorError(
        "target", f"the connection to {_where(target)} was lost{why}; try again", retryable=True
    )


def missing_packages(target: Target, facts: Facts) -> EvaluatorError | None:
    """Names what the user's Python lacks, or None where it has all it needs."""
    versions = {"torch": facts.torch, "triton": facts.triton, "pytest": facts.pytest}
    missing = [name for name, version in versions.items() if version is None]
    if not missing:
        return None
    return EvaluatorError(
        "package",
        f"{target.python} (Python {facts.python} on {facts.host}) has no {_listed(missing)}; set "
        f"the target's python to the interpreter that has them, or install them there",
    )


def _words(target: Target, line: str, tail: str) -> dict[str, str]:
    return {
        "host": _host(target), "where": _where(target), "python": target.python,
        "via": " ".join(target.via), "line": line[:200], "tail": tail,
    }  # fmt: skip


def _where(target: Target) -> str:
    return "this machine" if not target.via else f"the target {target.name}"


def _host(target: Target) -> str:
    """The destination of the first ssh hop, or the target's name."""
    words = list(target.via)
    for index, word in enumerate(words):
        if word.rpartition("/")[2] in ("ssh", "ssh.exe"):
            rest = iter(words[index + 1 :])
            for candidate in rest:
                if candidate.startswith("-"):
                    if len(candidate) == 2 and candidate not in ("-T", "-q", "-v", "-A", "-C"):
                        next(rest, None)
                else:
                    return candidate
    return f"the target {target.name}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
