"""The end of a tree whose processes take long to die, as a driver's do while it ends a context."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.evaluator.stage_child import EVALUATOR

ENDING = """
import signal, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from whet_evaluator.worker import supervise

wedged_s, dies_after_s = float(sys.argv[2]), float(sys.argv[3])
born, kill = time.monotonic(), supervise._signal

def late(pid, number):
    if number != signal.SIGKILL or time.monotonic() - born > dies_after_s:
        kill(pid, number)

child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
supervise._signal = late
print(supervise._end_tree(graceful=False, patience_s=wedged_s), child.pid in supervise.descendants(supervise.os.getpid()))
kill(child.pid, signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("wedged_s", "dies_after_s", "seen"),
    [
        pytest.param(30.0, 1.0, "True False", id="waited for"),
        pytest.param(0.5, 20.0, "False True", id="wedged"),
    ],
)
def test_what_outlives_sigkill_is_given_its_time(wedged_s, dies_after_s, seen):
    words = (str(EVALUATOR), str(wedged_s), str(dies_after_s))
    out = subprocess.run(
        [sys.executable, "-c", ENDING, *words], check=True, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert out.stdout.strip() == seen
