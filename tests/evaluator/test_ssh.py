"""The same verdicts through a real sshd; and each way a login can fail, in one sentence."""
# ruff: noqa: ASYNC221 - a test may block its own loop: nothing else runs in it

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Target
from whet_evaluator.worker import records

_spec = importlib.util.spec_from_file_location("sshd", Path(__file__).with_name("sshd.py"))
assert _spec is not None
assert _spec.loader is not None
sshd = importlib.util.module_from_spec(_spec)
sys.modules["sshd"] = sshd
_spec.loader.exec_module(sshd)

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Server]:
    with sshd.running_server(tmp_path_factory.mktemp("sshd")) as running:
        yield running


def target(server: sshd.Server, **fields: object) -> Target:
    return Target(**{"name": "gpu1", "via": server.via(), "python": sys.executable, **fields})


async def complaint(chosen: Target, project) -> EvaluatorError:
    """The error that opening `project` on `chosen` raises."""
    async with WorkerEvaluator(chosen, start_s=20.0) as worker:
        with pytest.raises(EvaluatorError) as caught:
            await worker.open(project.workspace())
    return caught.value


async def test_verdicts_are_those_of_the_local_worker(
    server, project, tmp_path, processes_naming, wait_until
):
    """And afterwards nothing is left there but the capped cache of contents."""
    remote_tmp = tmp_path / "remote-tmp"
    remote_tmp.mkdir()
    there = target(
        server, setup=f"export TMPDIR={remote_tmp} XDG_CACHE_HOME={tmp_path}/cache; echo noise"
    )
    texts = [project.original, "def value():\n    return 2\n", "import nowhere\n"]
    async with (
        WorkerEvaluator(there) as remote,
        WorkerEvaluator(Target(python=sys.executable)) as here,
    ):
        for text in texts:
            assert comparable(await project.judge(remote, text)) == comparable(
                await project.judge(here, text)
            )
    assert wait_until(lambda: processes_naming(str(remote_tmp)) == [], 3.0)
    assert list(remote_tmp.iterdir()) == []
    cached = [path.relative_to(tmp_path / "cache") for path in (tmp_path / "cache").rglob("*")]
    assert {str(path.parent) for path in cached} == {".", "whet", "whet/blobs"}


def comparable(verdict: records.WorkerVerdict) -> object:
    """A verdict without what differs between any two runs: times and scratch paths."""
    if isinstance(verdict, records.Correct):
        return [(test.nodeid, test.outcome) for test in verdict.tests]
    if isinstance(verdict, records.Failed):
        return [(case.nodeid, case.outcome, case.detail) for case in verdict.cases]
    return type(verdict)


async def test_files_at_root_are_read_in_place(server, project):
    there = target(server, root=str(project.root))
    async with WorkerEvaluator(there) as remote:
        assert isinstance(await project.judge(remote, project.original), records.Correct)


async def test_a_second_hop_behind_ssh(server, project):
    via = (*server.via(), "env", "-i", "PATH=/usr/bin:/bin", "sh", "-c", 'exec "$@"', "sh")
    async with WorkerEvaluator(target(server, via=via)) as remote:
        assert isinstance(await project.judge(remote, project.original), records.Correct)


async def test_ssh_killed_in_the_middle_is_retryable_and_the_next_call_works(
    server, project, tmp_path, processes_naming, wait_until
):
    there = target(server, setup=f"export TMPDIR={tmp_path}")
    async with WorkerEvaluator(there) as remote:
        stages: asyncio.Queue[str] = asyncio.Queue()
        await remote.open(project.workspace())
        hanging = project.candidate("import time\ndef value():\n    time.sleep(1000)\n")
        asked = asyncio.create_task(
            remote.evaluate(hanging, lambda progress: stages.put_nowait(progress.stage))
        )
        while await stages.get() != "tests":
            pass
        remote._link.process.kill()
        with pytest.raises(
            EvaluatorError, match="connection to the target gpu1 was lost"
        ) as caught:
            await asked
        assert caught.value.retryable
        assert isinstance(await project.judge(remote, project.original), records.Correct)
    assert wait_until(lambda: processes_naming(f"{tmp_path}/whet-worker-") == [], 3.0)


async def test_changed_host_key(server, project, tmp_path):
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    known = tmp_path / "known_hosts"
    key = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    known.write_text(f"[127.0.0.1]:{server.port} {key}\n")
    error = await complaint(target(server, via=server.via(UserKnownHostsFile=str(known))), project)
    assert error.culprit == "host key"
    assert "is not the one you trusted" in str(error)
    assert "ssh-keygen -R" in str(error)


async def test_unknown_host_key(server, project, tmp_path):
    via = server.via(UserKnownHostsFile=str(tmp_path / "none"))
    error = await complaint(target(server, via=via), project)
    assert error.culprit == "host key"
    assert "log in once by hand" in str(error)


async def test_refused_login(server, project, tmp_path):
    stranger = tmp_path / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], check=True)
    error = await complaint(target(server, via=server.via(IdentityFile=str(stranger))), project)
    assert error.culprit == "target"
    assert "refused the login" in str(error)


async def test_nobody_listens(project):
    closed = sshd._free_port()
    via = ("ssh", "-F", "none", "-p", str(closed), "127.0.0.1")
    error = await complaint(Target(name="gpu1", via=via), project)
    assert error.culprit == "target"
    assert error.retryable
    assert "127.0.0.1 is unreachable" in str(error)


async def test_no_such_host(project):
    via = ("ssh", "-F", "none", "no-such-host.invalid")
    error = await complaint(Target(name="gpu1", via=via), project)
    assert error.culprit == "target"
    assert "no-such-host.invalid" in str(error)


async def test_no_such_python(server, project):
    error = await complaint(target(server, python="/opt/none/bin/python"), project)
    assert error.culprit == "python"
    assert "/opt/none/bin/python was not found on the target gpu1" in str(error)


async def test_root_is_not_a_directory(server, project):
    error = await complaint(target(server, root="/nowhere/at/all"), project)
    assert error.culprit == "target"
    assert "/nowhere/at/all is not a directory" in str(error)


HOST = """
import asyncio, sys
from pathlib import Path
from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.evaluation import Target, Workspace
async def main():
    worker = WorkerEvaluator(Target(via=tuple({via!r}), python={python!r}, setup={setup!r}))
    await worker.open(Workspace(root=Path({root!r})))
    await worker.run_tests(("test_unit.py",), None, lambda progress: None)
asyncio.run(main())
"""


async def test_killing_the_host_leaves_nothing_on_either_side(
    server, project, tmp_path, processes_naming, wait_until
):
    mark = "86426.75"
    project.write(
        "test_unit.py",
        "import subprocess\ndef test_value():\n"
        f"    subprocess.Popen(['sleep', '{mark}'], start_new_session=True).wait()\n",
    )
    there = tmp_path / "there"
    there.mkdir()
    script = HOST.format(
        via=server.via(), python=sys.executable, setup=f"export TMPDIR={there}",
        root=str(project.root),
    )  # fmt: skip
    host = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
    try:
        assert wait_until(lambda: processes_naming(f"sleep\0{mark}") != [], 90)
    finally:
        host.kill()
        await host.wait()
    assert wait_until(lambda: processes_naming(f"sleep\0{mark}") == [], 3)
    assert wait_until(lambda: list(there.iterdir()) == [], 3)
    assert wait_until(lambda: processes_naming(str(there)) == [], 3)
