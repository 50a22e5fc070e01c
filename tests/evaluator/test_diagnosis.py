"""What ssh, shells and Pythons print becomes one sentence with the cure."""

from __future__ import annotations

import pytest

from whet_evaluator.diagnosis import explain_exit, explain_failure, missing_packages
from whet_evaluator.evaluation import Target
from whet_evaluator.targets import TOO_OLD
from whet_evaluator.worker.protocol import Failure
from whet_evaluator.worker.records import Facts

GPU = Target(name="gpu1", via=("ssh", "-p", "2222", "me@gpu1.lab"), python="/opt/venv/bin/python")


@pytest.mark.parametrize(
    ("status", "stderr", "culprit", "retryable", "sentence"),
    [
        (255, "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
         "host key", False, "the host key of me@gpu1.lab is not the one you trusted"),
        (255, "Host key verification failed.", "host key", False, "log in once by hand with `ssh"),
        (255, "ssh: Could not resolve hostname gpu1.lab: Name or service not known", "target",
         True, "the name me@gpu1.lab does not resolve"),
        (255, "ssh: connect to host gpu1.lab port 2222: No route to host", "target", True,
         "me@gpu1.lab is unreachable (ssh: connect"),
        (255, "me@gpu1.lab: Permission denied (publickey).", "target", False, "refused the login"),
        (127, "sh: 1: /opt/venv/bin/python: not found", "python", False,
         "/opt/venv/bin/python was not found on the target gpu1"),
        (1, TOO_OLD + "3.8.10", "python", False, "is Python 3.8.10; Whet's worker needs 3.10"),
        (2, "Unknown option: -I", "python", False, "is too old"),
        (1, "OSError: [Errno 28] No space left on device", "target", False, "is full"),
        (1, "Error: No such container: rocm", "target", True, "start it first"),
        (3, "", "target", False, "did not start: exit status 3"),
    ],
)  # fmt: skip
def test_exits(status, stderr, culprit, retryable, sentence):
    error = explain_exit(GPU, status, "Welcome to gpu1\n" + stderr if stderr else "")
    assert (error.culprit, error.retryable) == (culprit, retryable)
    assert sentence in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("failure", "culprit"),
    [
        ("no torch", "package"), ("no space", "target"), ("device wedged", "device"),
        ("tests", "tests"), ("cancelled", "cancelled"), ("internal", "worker"),
    ],
)  # fmt: skip
def test_failures(failure, culprit):
    error = explain_failure(Failure(id=1, failure=failure, message="A sentence."))
    assert (error.culprit, str(error)) == (culprit, "A sentence.")


def facts(**packages: str | None) -> Facts:
    known = {"torch": "2.13", "triton": "3.9", "pytest": "9", **packages}
    return Facts(
        python="3.12.1", platform="Linux", host="gpu1", devices=(), mode="interpret", archs=(),
        isolation="none", **known,
    )  # fmt: skip


def test_packages():
    assert missing_packages(GPU, facts()) is None
    assert "has no triton;" in str(missing_packages(GPU, facts(triton=None)))
    both = missing_packages(GPU, facts(torch=None, pytest=None))
    assert both is not None
    assert "has no torch and pytest;" in str(both)
    assert both.culprit == "package"
