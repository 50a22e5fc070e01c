"""Candidates that hang, crash, shout, hoard or daemonise: each is a verdict, none is a wound."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.worker import records

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_good_candidate_passes_and_a_wrong_one_fails(project, worker):
    good = await project.judge(worker, "def value():\n    return 2 - 1\n")
    assert isinstance(good, records.Correct)
    assert [outcome.outcome for outcome in good.tests] == ["passed"]
    assert isinstance(good.timing, records.Untimed)
    wrong = await project.judge(worker, "def value():\n    return 2\n")
    assert isinstance(wrong, records.Failed)
    assert wrong.passed == 0
    assert "assert 2 == 1" in wrong.cases[0].detail


async def test_a_candidate_that_does_not_import_is_broken(project, worker):
    verdict = await project.judge(worker, "raise RuntimeError('no import')\n")
    assert isinstance(verdict, records.Broken)
    assert "no import" in verdict.trace


@pytest.mark.parametrize("fresh", [False, True])
async def test_hanging(project, worker, fresh):
    text = "import time\ndef value():\n    time.sleep(1000)\n"
    verdict = await project.judge(worker, text, fresh=fresh, stage_s=6.0)
    assert verdict == records.TimedOut(stage="tests", limit_s=6.0)


async def test_hanging_deaf_to_sigterm(project, worker):
    text = (
        "import signal, time\ndef value():\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    time.sleep(1000)\n"
    )
    verdict = await project.judge(worker, text, stage_s=4.0)
    assert verdict == records.TimedOut(stage="tests", limit_s=4.0)


@pytest.mark.parametrize("fresh", [False, True])
async def test_segmentation_fault(project, worker, fresh):
    text = "import ctypes\ndef value():\n    ctypes.string_at(0)\n"
    verdict = await project.judge(worker, text, fresh=fresh)
    assert isinstance(verdict, records.Crashed)
    assert (verdict.stage, verdict.how) == ("tests", "SIGSEGV")


async def test_leaving_early(project, worker):
    text = "import os\ndef value():\n    os.write(2, b'bye')\n    os._exit(3)\n"
    verdict = await project.judge(worker, text)
    assert isinstance(verdict, records.Crashed)
    assert verdict.how == "exited 3 without a result"


async def test_leaving_early_with_success_is_still_a_crash(project, worker):
    verdict = await project.judge(worker, "import os\ndef value():\n    os._exit(0)\n")
    assert isinstance(verdict, records.Crashed)
    assert verdict.how == "exited 0 without a result"


async def test_system_exit_at_import_is_broken_or_crashed_not_passed(project, worker):
    verdict = await project.judge(worker, "import sys\nsys.exit(0)\n")
    assert isinstance(verdict, (records.Broken, records.Crashed, records.Failed))


async def test_printing_100_megabytes_does_no_harm(project, worker):
    text = "def value():\n    print('x' * 100_000_000)\n    return 1\n"
    verdict = await project.judge(worker, text)
    assert isinstance(verdict, records.Correct)


async def test_printing_at_import_is_bounded(project, worker):
    text = (
        "import os, time\n"
        "for _ in range(1600):\n    os.write(1, b'x' * 65536)\n"
        "time.sleep(1000)\n"
        "def value():\n    return 1\n"
    )
    verdict = await project.judge(worker, text, output_bytes=1 << 20)
    assert isinstance(verdict, records.Exceeded)
    assert verdict.stage == "load"
    assert verdict.what.startswith("output: ")
    assert verdict.what.endswith("1 MiB allowed")


async def test_hoarding_memory(project, worker):
    text = "hoard = []\ndef value():\n    while True:\n        hoard.append(b'x' * (16 << 20))\n"
    verdict = await project.judge(worker, text, memory_bytes=1 << 30)
    assert isinstance(verdict, records.Exceeded), verdict
    assert verdict.stage == "tests"
    assert verdict.what.startswith("memory: ")


async def test_filling_the_disk_with_many_files(project, worker):
    text = (
        "def value():\n    n = 0\n    while True:\n        n += 1\n"
        "        with open(f'junk{n}', 'wb') as file:\n            file.write(b'x' * (4 << 20))\n"
    )
    verdict = await project.judge(worker, text, disk_bytes=64 << 20)
    assert isinstance(verdict, records.Exceeded), verdict
    assert verdict.what.startswith("disk: ")


async def test_one_endless_file_hits_the_file_size_limit(project, worker):
    text = (
        "def value():\n    with open('junk', 'wb') as file:\n"
        "        while True:\n            file.write(b'x' * (4 << 20))\n"
    )
    verdict = await project.judge(worker, text, disk_bytes=32 << 20)
    assert isinstance(verdict, (records.Failed, records.Exceeded)), verdict


async def test_daemons_are_found_and_ended(project, worker, processes_naming, wait_until):
    mark = "86423.5"
    text = (
        "import subprocess\ndef value():\n"
        f"    subprocess.Popen(['setsid', 'sh', '-c', 'sleep {mark} & sleep {mark} & exit'])\n"
        f"    subprocess.Popen(['sleep', '{mark}'], start_new_session=True)\n"
        "    return 1\n"
    )
    verdict = await project.judge(worker, text)
    assert isinstance(verdict, records.Correct)
    assert processes_naming(mark) == []


async def test_killing_the_parent_harms_only_the_candidate(project, worker):
    text = (
        "import os, signal\ndef value():\n"
        "    try:\n        os.kill(os.getppid(), signal.SIGKILL)\n"
        "    except PermissionError:\n        return 2\n    return 1\n"
    )
    verdict = await project.judge(worker, text)
    # Where Landlock scopes signals the kill is refused; elsewhere the guardian dies, or it is
    # the first process of a pid namespace and hears nothing.
    deaf = (records.Correct,) if worker.facts.isolation == "strong" else ()
    assert isinstance(verdict, (records.Failed, records.Crashed, *deaf)), verdict
    after = await project.judge(worker, project.original)
    assert isinstance(after, records.Correct)


async def test_writing_outside_the_scratch_is_refused(project, worker, tmp_path):
    if worker.facts is None:
        await worker.open(project.workspace())
    assert worker.facts is not None
    if worker.facts.isolation == "none":
        pytest.skip("no Landlock on this kernel")
    in_temporary, beside_python = tmp_path / "escaped", Path(sys.prefix) / "escaped"
    text = (
        "def value():\n    refused = 0\n"
        f"    for path in ({str(in_temporary)!r}, {str(beside_python)!r}):\n"
        "        try:\n            open(path, 'w').close()\n"
        "        except OSError:\n            refused += 1\n"
        "    return refused\n"
    )
    verdict = await project.judge(worker, text)
    # At the strong level the temporary folder is the candidate's own, and goes with it.
    own = worker.facts.isolation == "strong"
    assert isinstance(verdict, records.Correct if own else records.Failed), verdict
    assert not in_temporary.exists()
    assert not beside_python.exists()


async def test_keys_are_not_in_sight(project, worker, monkeypatch):
    text = (
        "import os\ndef value():\n"
        "    return sum(1 for name in os.environ if 'KEY' in name or 'TOKEN' in name) + 1\n"
    )
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-candidates")
    monkeypatch.setenv("HF_TOKEN", "hf-not-for-candidates")
    async with WorkerEvaluator(worker.target) as own:
        verdict = await project.judge(own, text)
    assert isinstance(verdict, records.Correct), verdict


async def test_forged_result_lines_are_not_believed(project, worker):
    text = (
        "import json, os\n"
        "forged = json.dumps({'answer': {'outcomes': [], 'launches': [], 'calls': [],"
        " 'too_slow': [], 'misplaced': None, 'exit_status': 0}}).encode() + b'\\n'\n"
        "def value():\n"
        "    for fd in range(3, 260):\n"
        "        try:\n            os.write(fd, forged)\n        except OSError:\n            pass\n"
        "    os._exit(0)\n"
    )
    verdict = await project.judge(worker, text)
    assert isinstance(verdict, records.Crashed), verdict


async def test_forking_without_end(project, worker):
    """Ended as one: each on its own would have forked again before its turn to be killed."""
    facts = await worker.open(project.workspace())
    if facts.isolation != "strong":
        pytest.skip(f"only a pid namespace ends a fork bomb: {facts.isolation_detail}")
    text = (
        "import os\ndef value():\n    for _ in range(100_000):\n"
        "        try:\n            os.fork()\n        except OSError:\n            pass\n"
    )
    verdict = await project.judge(worker, text, processes=32, stage_s=60.0)
    assert isinstance(verdict, records.Exceeded), verdict
    assert verdict.what.startswith(("processes: ", "memory: "))
    after = await project.judge(worker, project.original)
    assert isinstance(after, records.Correct)


async def test_shared_memory_and_semaphores_go_with_their_candidate(project, worker):
    facts = await worker.open(project.workspace())
    if facts.isolation != "strong":
        pytest.skip(f"shared memory is the host's: {facts.isolation_detail}")
    size = 1052672 + os.getpid() % 1000 * 4096  # of nobody else's segment, presumably
    text = (
        "import ctypes\ndef value():\n    libc = ctypes.CDLL(None)\n"
        f"    assert libc.shmget(0, {size}, 0o1600) >= 0\n"
        "    open('/dev/shm/whet-left', 'wb').write(bytes(1 << 20))\n    return 1\n"
    )
    verdict = await project.judge(worker, text)
    assert isinstance(verdict, records.Correct), verdict
    assert not Path("/dev/shm/whet-left").exists()  # noqa: ASYNC240 - nothing else runs here
    segments = Path("/proc/sysvipc/shm").read_text()  # noqa: ASYNC240
    assert str(size) not in segments.split()
