"""The life of a worker: noise before it, two at once, silence, murder, and what it leaves."""
# ruff: noqa: ASYNC220, ASYNC221, ASYNC240 - a test may block its own loop: nothing else runs in it

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from whet_evaluator import targets
from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Target, Workspace
from whet_evaluator.worker import protocol, records
from whet_evaluator.worker.process_tree import descendants
from whet_evaluator.worker.spawn import is_stage
from whet_evaluator.worker.unit_ref import UnitRef
from whet_evaluator.worker.workspace import BlobCache, remove_tree, sha256

PYTHON = sys.executable
HANGING = "import time\ndef value():\n    time.sleep(1000)\n"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module", autouse=True)
def silent_worker(tmp_path_factory) -> Iterator[tuple[Future[float], Path]]:
    """A worker whose host says nothing after the greeting, while the other tests run: the
    seconds until it ends, and its TMPDIR."""
    folder = tmp_path_factory.mktemp("silent")
    process = subprocess.Popen(
        [PYTHON, "-I", "-c", targets.BOOT],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(targets.greeting())
    process.stdin.flush()
    began = time.monotonic()

    def ended() -> float:
        process.wait(protocol.SILENCE_LIMIT_S + 20)
        return time.monotonic() - began

    with ThreadPoolExecutor(max_workers=1) as thread:
        yield thread.submit(ended), folder
    process.stdin.close()


# ---- before the hello -----------------------------------------------------------------


def prefix(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script + '; exec "$@"', "sh")


@pytest.mark.parametrize(
    "via",
    [
        prefix("echo 'Last login: yesterday'; head -c 60000 /dev/zero; echo to stderr >&2"),
        ("env", "-i", f"PATH={os.environ['PATH']}", "sh", "-c", 'exec "$@"', "sh"),
        ("unshare", "-Urpf", "--mount-proc"),
        ("nice", "-n", "1"),
    ],
    ids=lambda via: " ".join(via)[:30],
)
async def test_any_prefix(project, via, worker_tmp):
    if subprocess.run([*via, "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"{via[0]} does not work here")
    async with WorkerEvaluator(Target(name="nested", via=via, python=PYTHON)) as nested:
        await nested.open(project.workspace())
        ran = await nested.run_tests(("test_unit.py",), None, lambda _: None)
    assert [(test.nodeid, test.outcome) for test in ran.tests] == [
        ("test_unit.py::test_value", "passed")
    ]


async def test_endless_noise_is_refused(project):
    via = prefix("head -c 100000 /dev/zero; cat")
    async with WorkerEvaluator(Target(name="noisy", via=via, python=PYTHON)) as noisy:
        with pytest.raises(EvaluatorError, match="noisy printed over 64 KiB"):
            await noisy.open(project.workspace())


async def test_a_worker_that_never_answers(project):
    via = ("sh", "-c", "sleep 1000", "sh")
    async with WorkerEvaluator(Target(name="mute", via=via), start_s=1.0) as mute:
        with pytest.raises(EvaluatorError, match="mute did not answer within 1 s") as caught:
            await mute.open(project.workspace())
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("chosen", "culprit", "sentence"),
    [
        (Target(python="/nowhere/python3"), "python", "/nowhere/python3 cannot be run"),
        (Target(via=("/nowhere/ssh9",)), "target", "/nowhere/ssh9 cannot be run"),
        (Target(via=("env",), python="/nowhere/py"), "python", "/nowhere/py was not found"),
        (Target(python="/bin/false"), "target", "did not start"),
    ],
)
async def test_what_cannot_start_is_one_sentence(project, chosen, culprit, sentence):
    async with WorkerEvaluator(chosen) as worker:
        with pytest.raises(EvaluatorError, match=sentence) as caught:
            await worker.open(project.workspace())
    assert caught.value.culprit == culprit


@pytest.mark.parametrize("version", ["3.9.18", "3.10.13", "3.12.1", "3.13.0"])
async def test_a_bare_python_is_told_what_it_lacks(project, version, worker_tmp):
    python = Path.home() / f".pyenv/versions/{version}/bin/python"
    if not python.exists():
        pytest.skip(f"no Python {version} here")
    async with WorkerEvaluator(Target(python=str(python))) as worker:
        with pytest.raises(EvaluatorError) as caught:
            await worker.open(project.workspace())
        if version.startswith("3.9"):
            assert f"is Python {version}; Whet's worker needs 3.10 or later" in str(caught.value)
            return
        assert worker.facts is not None
        assert worker.facts.python == version
        assert "has no torch, triton and pytest" in str(caught.value)
        with pytest.raises(EvaluatorError, match="has no torch; install torch"):
            await worker.collect(("test_unit.py",))
    assert caught.value.culprit == "package"


async def test_modules_in_the_working_directory_shadow_nothing(project, monkeypatch, worker_tmp):
    for name in ("zipfile", "runpy", "asyncio", "json", "socket"):
        project.write(f"{name}.py", "raise SystemExit('the user module was imported')\n")
    monkeypatch.chdir(project.root)
    async with WorkerEvaluator(Target(python=PYTHON)) as worker:
        facts = await worker.open(project.workspace())
    assert facts.python.startswith("3.")


# ---- several, cancelled, silent -------------------------------------------------------


async def test_two_workers_at_once(project, worker_tmp):
    async with (
        WorkerEvaluator(Target(python=PYTHON)) as one,
        WorkerEvaluator(Target(python=PYTHON)) as two,
    ):
        verdicts = await asyncio.gather(
            project.judge(one, project.original), project.judge(two, "def value():\n    return 2\n")
        )
    assert isinstance(verdicts[0], records.Correct)
    assert isinstance(verdicts[1], records.Failed)


async def test_requests_overlap(project, worker):
    await worker.open(project.workspace())
    texts = ["def value():\n    return 1\n", "def value():\n    return 2\n", "import nowhere\n"] * 2
    heard: list[int] = []

    async def judge(number, text):
        return await worker.evaluate(project.candidate(text), lambda _: heard.append(number))

    verdicts = await asyncio.gather(*(judge(number, text) for number, text in enumerate(texts)))
    n_turns = sum(before != after for before, after in itertools.pairwise(heard))
    assert n_turns >= len(texts), "their stages take turns: no candidate waits for another's end"
    assert [type(verdict).__name__ for verdict in verdicts] == ["Correct", "Failed", "Broken"] * 2


async def test_where_the_time_goes_is_told_with_the_verdict(project, worker):
    await worker.open(project.workspace())
    told = {}
    await worker.evaluate(
        project.candidate(project.original), lambda progress: told.update(progress.seconds)
    )
    for stage, phases in (
        ("load", ("fork", "settle", "overlay", "unit import", "compile", "exit")),
        ("tests", ("fork", "settle", "overlay", "collect", "tests", "pytest end", "exit")),
    ):
        parts = {name: told[name] for name in told if name.startswith(f"{stage}:")}
        assert {f"{stage}:{phase}" for phase in phases} <= set(parts)
        assert min(parts.values()) >= 0
        assert 0 < sum(parts.values()) <= told[stage], "the phases lie within their stage"


async def until_stage(worker, project, text: str, stage: str) -> asyncio.Task[object]:
    """Starts judging `text`; returns once `stage` has begun."""
    begun = asyncio.Event()

    def listen(progress):
        if progress.stage == stage and progress.detail:
            begun.set()

    task = asyncio.create_task(worker.evaluate(project.candidate(text), listen))
    await asyncio.wait_for(begun.wait(), 60)
    return task


async def test_cancelling_ends_the_work(project, worker, worker_tmp, processes_naming, wait_until):
    mark = "86424.25"
    text = f"import subprocess\ndef value():\n    subprocess.run(['sleep', '{mark}'])\n"
    await worker.open(project.workspace())
    task = await until_stage(worker, project, text, "tests")
    assert wait_until(lambda: len(processes_naming(mark)) == 1, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wait_until(lambda: processes_naming(mark) == [], 4)
    assert isinstance(await project.judge(worker, project.original), records.Correct)
    scratches = list(worker_tmp.glob("whet-worker-*/scratch/*"))
    assert scratches == []


HOST = """
import asyncio, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
from pathlib import Path
sys.path.insert(0, {helper!r})
exec({patch!r})
from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.evaluation import Candidate, Target, Workspace
from whet_evaluator.worker.unit_ref import UnitRef

async def main():
    text = {text!r}  # the original's too: what an original does itself is no trick
    unit = UnitRef(path="unit.py", kernels=(), launchers=("value",), text=text)
    worker = WorkerEvaluator(Target(python=sys.executable))
    await worker.open(Workspace(root=Path({root!r})))
    candidate = Candidate(unit=unit, text=text, nodes=("test_unit.py::test_value",), launches=(), seed=1)
    await worker.evaluate(candidate, lambda progress: None)

asyncio.run(main())
"""


@pytest.mark.parametrize("victim", ["host", "worker", "zygote"])
async def test_sigkill_leaves_nothing(project, tmp_path, processes_naming, wait_until, victim):
    """Of the host: no process and no file. Of the worker: no process, and its folder goes
    when the next one starts. Of a zygote: a verdict, and the next stage does without."""
    mark = "86425.125"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    text = (
        "import subprocess, time\ndef value():\n"
        f"    subprocess.Popen(['sleep', '{mark}'], start_new_session=True)\n"
        f"    subprocess.Popen(['setsid', 'sh', '-c', 'sleep {mark} & exit'])\n"
        "    time.sleep(1000)\n"
    )
    script = HOST.format(root=str(project.root), text=text, helper="", patch=PATCH)
    host = subprocess.Popen(
        [PYTHON, "-c", script], env={**os.environ, "TMPDIR": str(temporary)}, start_new_session=True
    )
    try:
        assert wait_until(lambda: len(processes_naming(f"sleep\0{mark}")) == 2, 90)
        ours = processes_naming(f"{temporary}/whet-worker-")
        if victim == "host":
            host.kill()
        elif victim == "worker":
            (folder,) = {p.name.split("-")[2] for p in temporary.glob("whet-worker-*")}
            os.kill(int(folder), signal.SIGKILL)
        else:
            parents = {pid: parent_of(pid) for pid in ours}
            zygotes = [pid for pid in ours if parents[pid] not in ours]
            for pid in zygotes:
                os.kill(pid, signal.SIGKILL)
        if victim == "zygote":
            host.send_signal(signal.SIGINT)
        # Without a zygote the stage begins again, and is then ended in order, grace included.
        within_s = 30 if victim == "zygote" else 3
        assert wait_until(lambda: processes_naming(mark) == [], within_s)
        assert wait_until(lambda: processes_naming(f"{temporary}/whet-worker-") == [], within_s)
        if victim == "host":
            assert wait_until(lambda: list(temporary.iterdir()) == [], 3)
    finally:
        with contextlib.suppress(ProcessLookupError):
            host.kill()
        host.wait()
    if victim == "worker":
        assert list(temporary.iterdir()) != []
        run = subprocess.run(
            [PYTHON, "-I", "-c", targets.BOOT],
            input=targets.greeting(), env={**os.environ, "TMPDIR": str(temporary)},
            capture_output=True, check=False,
        )  # fmt: skip
        assert protocol.SENTINEL in run.stdout
        assert list(temporary.iterdir()) == []


PATCH = os.environ.get("WHET_TEST_PATCH", "")


def parent_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


async def test_garbage_from_the_host_ends_the_worker(tmp_path):
    run = subprocess.run(
        [PYTHON, "-I", "-c", targets.BOOT],
        input=targets.greeting() + b"\xff" * 64, capture_output=True, check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)}, timeout=30,
    )  # fmt: skip
    assert b"exceeds the bounds" in run.stderr
    assert list(tmp_path.iterdir()) == []


async def test_a_lost_worker_is_replaced_at_the_next_call(project, worker_tmp):
    async with WorkerEvaluator(Target(python=PYTHON)) as worker:
        await worker.open(project.workspace())
        task = await until_stage(worker, project, HANGING, "tests")
        assert worker._link is not None
        worker._link.process.kill()
        with pytest.raises(EvaluatorError, match="connection to this machine was lost") as caught:
            await task
        assert caught.value.retryable
        verdict = await worker.evaluate(project.candidate(project.original), lambda _: None)
    assert isinstance(verdict, records.Correct)


async def test_a_zygote_that_is_busy_keeps_no_worker_alive(project, worker_tmp):
    """What loads for long has forked nobody yet who could be told to end."""
    async with WorkerEvaluator(Target(python=PYTHON)) as worker:
        await worker.open(project.workspace())
        await worker.evaluate(project.candidate(project.original), lambda _: None)
        assert worker._link is not None
        process = worker._link.process
        below = [pid for pid in descendants(process.pid) if is_stage(pid)]
        assert below
        for pid in below:
            os.kill(pid, signal.SIGSTOP)
        task = asyncio.ensure_future(
            worker.evaluate(project.candidate(project.original), lambda _: None)
        )
        await asyncio.sleep(0.5)
        assert not task.done()
        assert process.stdin is not None
        process.stdin.close()  # as when the host dies
        began = time.monotonic()
        await asyncio.wait_for(process.wait(), timeout=30)
        took_s = time.monotonic() - began
        with pytest.raises(EvaluatorError):
            await task
    assert took_s < 3.0
    assert not [pid for pid in below if Path(f"/proc/{pid}").exists()]


# ---- files ----------------------------------------------------------------------------

TREE_TEST = """
import hashlib, os
from unit import value

def test_tree():
    found = []
    for folder, folders, names in os.walk("."):
        folders[:] = [f for f in folders if not f.startswith(".")]
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            found.append((path, oct(os.stat(path).st_mode & 0o777), digest))
    assert value() == 1
    assert sorted(found) == "show me"
"""


async def test_shipped_and_in_place_trees_are_equal(project, worker_tmp, tmp_path):
    project.write("test_unit.py", TREE_TEST)
    project.write("data/deep/table.csv", "1,2\n" * 1000)
    project.write("tool.sh", "#!/bin/sh\n").chmod(0o755)
    (project.root / "bin.dat").write_bytes(bytes(range(256)))
    overlay = {"data/new.txt": "unsaved\r\nlines"}
    workspace = Workspace(root=project.root, overlay=overlay)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "unit.py").write_text("an older version")
    shown = []
    for chosen in (
        Target(python=PYTHON),
        Target(name="shipped", via=("env", f"XDG_CACHE_HOME={tmp_path}/cache"), python=PYTHON),
        Target(name="other root", via=("env",), root=str(elsewhere), python=PYTHON),
    ):
        async with WorkerEvaluator(chosen) as worker:
            await worker.open(workspace)
            ran = await worker.run_tests(("test_unit.py",), None, lambda _: None)
        assert [test.outcome for test in ran.tests] == ["failed"]
        shown.append(ran.tests[0].detail)
    assert "unit.py" in shown[0]
    assert shown[0] == shown[1] == shown[2]
    assert len(list((tmp_path / "cache/whet/blobs").iterdir())) > 5
    assert sorted(path.name for path in elsewhere.iterdir()) == ["unit.py"]


async def test_the_second_shipping_asks_for_nothing(project, worker_tmp, tmp_path):
    chosen = Target(name="far", via=("env", f"XDG_CACHE_HOME={tmp_path}/cache"), python=PYTHON)
    async with WorkerEvaluator(chosen) as worker:
        await worker.open(project.workspace())
    sent = {path.name: path.stat().st_ino for path in (tmp_path / "cache/whet/blobs").iterdir()}
    async with WorkerEvaluator(chosen) as worker:
        await worker.open(project.workspace())
        ran = await worker.run_tests(("test_unit.py",), None, lambda _: None)
    again = {path.name: path.stat().st_ino for path in (tmp_path / "cache/whet/blobs").iterdir()}
    assert again == sent
    assert [test.outcome for test in ran.tests] == ["passed"]


async def test_the_cache_keeps_the_latest_and_verifies(tmp_path):
    cache = BlobCache(str(tmp_path), limit_bytes=250)
    contents = [bytes([n]) * 100 for n in range(4)]
    for age, data in enumerate(reversed(contents)):
        cache.put(sha256(data), data)
        os.utime(tmp_path / sha256(data), (1000 + age, 1000 + age))
    cache.get(sha256(contents[3]))  # the oldest becomes the latest used
    cache.trim()
    assert {path.name for path in tmp_path.iterdir()} == {sha256(contents[n]) for n in (0, 3)}
    (tmp_path / sha256(contents[0])).write_bytes(b"rotten")
    assert cache.get(sha256(contents[0])) is None
    assert cache.get(sha256(contents[3])) == contents[3]


@pytest.mark.parametrize("path", ["../out.py", "/etc/x", "a/../../b", "a//b", "", "a\0b"])
async def test_a_hostile_manifest_is_refused_by_the_worker_too(worker, project, path):
    await worker.open(project.workspace())
    entry = protocol.FileEntry(path=path, sha256="0" * 64, mode=0o644, size=0)
    with pytest.raises(EvaluatorError, match="leaves the project"):
        await worker._link.request(
            lambda id_: protocol.Open(
                id=id_, root=str(project.root), files=(entry,), in_place=False, device="auto",
                arch=None,
            ),
            lambda _: None,
            None,
        )  # fmt: skip


# ---- hygiene --------------------------------------------------------------------------


async def test_same_size_candidates_in_a_row_are_told_apart(project, worker, monkeypatch):
    """The bytecode trap: same path, same size, same second."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    await worker.open(project.workspace())
    for digit in "121121":
        text = f"def value():\n    return {digit}\n"
        verdict = await worker.evaluate(project.candidate(text), lambda _: None)
        assert isinstance(verdict, records.Correct if digit == "1" else records.Failed)


async def test_caches_are_private_and_empty_each_time(project, worker, monkeypatch, tmp_path):
    """The poisoned-cache trap: what one candidate leaves in a cache, no other one finds."""
    names = (
        "TRITON_CACHE_DIR",
        "TORCHINDUCTOR_CACHE_DIR",
        "TORCH_EXTENSIONS_DIR",
        "HOME",
        "TMPDIR",
    )
    text = (
        "import os\ndef value():\n"
        f"    folders = [os.environ[name] for name in {names!r}]\n"
        "    found = [name for f in folders for name in os.listdir(f) if name == 'poison']\n"
        "    assert all('/scratch/' in f for f in folders), folders\n"
        "    for f in folders:\n        open(f + '/poison', 'w').close()\n"
        "    return 1 + len(found)\n"
    )
    for fresh in (False, False, True):
        assert isinstance(await project.judge(worker, text, fresh=fresh), records.Correct)


async def test_zygote_children_start_with_one_thread(project, worker):
    text = (
        "import os\nTHREADS = len(os.listdir('/proc/self/task'))\n"
        "def value():\n    import torch\n    return THREADS if torch.ones(3).sum() == 3 else 0\n"
    )
    facts = await worker.open(project.workspace())
    assert facts.slow_start is None
    assert isinstance(await project.judge(worker, text), records.Correct)


async def test_nothing_is_written_below_the_root(project, worker):
    text = "from pathlib import Path\ndef value():\n    Path('left.txt').write_text('x')\n    return 1\n"
    before = sorted(project.root.rglob("*"))
    assert isinstance(await project.judge(worker, text), records.Correct)
    assert sorted(project.root.rglob("*")) == before


async def test_a_unit_outside_the_root(project, worker, tmp_path):
    """A kernel opened in site-packages: a package that is imported from elsewhere."""
    package = tmp_path / "site" / "faraway"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "ops.py").write_text("def value():\n    return 1\n")
    project.write(
        "test_unit.py",
        textwrap.dedent(f"""
        import sys
        sys.path.append({str(tmp_path / "site")!r})
        from faraway.ops import value

        def test_value():
            assert value() == 1
        """),
    )
    unit = UnitRef(
        path=str(package / "ops.py"), kernels=(), launchers=("value",),
        text=(package / "ops.py").read_text(),
    )  # fmt: skip
    await worker.open(project.workspace())
    for digit, expected in (("1", records.Correct), ("2", records.Failed)):
        candidate = project.candidate(f"def value():\n    return {digit}  # new\n")
        verdict = await worker.evaluate(
            type(candidate)(
                unit=unit, text=candidate.text, nodes=candidate.nodes, launches=(), seed=1
            ),
            lambda _: None,
        )
        assert isinstance(verdict, expected), verdict


async def test_crashing_tests_of_the_original_are_the_worlds_fault(project, worker):
    project.write("test_unit.py", "import os\ndef test_value():\n    os.abort()\n")
    await worker.open(project.workspace())
    with pytest.raises(EvaluatorError, match=r"crashed \(SIGABRT\)") as caught:
        await worker.record(project.unit, ("test_unit.py",), lambda _: None)
    assert caught.value.culprit == "tests"


async def test_a_changed_environment_restarts_what_was_preloaded(project, worker_tmp):
    project.write(
        "test_unit.py", "import os\ndef test_value():\n    assert os.environ['FLAVOUR'] == 'mint'\n"
    )
    chosen = Target(python=PYTHON, env={"FLAVOUR": "mint"})
    async with WorkerEvaluator(chosen) as worker:
        await worker.open(project.workspace())
        ran = await worker.run_tests(("test_unit.py",), None, lambda _: None)
    assert [test.outcome for test in ran.tests] == ["passed"]


async def test_close_may_be_called_twice_and_before_open():
    worker = WorkerEvaluator(Target(python=PYTHON))
    await worker.close()
    await worker.close()


# ---- where things are missing ---------------------------------------------------------


async def test_a_full_disk_is_one_sentence(project, worker_tmp, tmp_path):
    mount = (
        f'mount -t tmpfs -o size=4m none {tmp_path}/small && exec env TMPDIR={tmp_path}/small "$@"'
    )
    (tmp_path / "small").mkdir()
    via = ("unshare", "-Urm", "sh", "-c", mount, "sh")
    if subprocess.run([*via, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    project.write("weights.bin", "w" * (5 << 20))
    async with WorkerEvaluator(Target(name="full", via=via, python=PYTHON)) as worker:
        with pytest.raises(EvaluatorError, match=r"the disk below .*small is full") as caught:
            await worker.open(project.workspace())
    assert caught.value.culprit == "target"


async def test_a_thread_in_the_zygote_means_fresh_processes_and_is_said(
    project, worker_tmp, tmp_path, monkeypatch
):
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(site))
    async with WorkerEvaluator(Target(python=PYTHON)) as worker:
        facts = await worker.open(project.workspace())
        ran = await worker.run_tests(("test_unit.py",), None, lambda _: None)
    assert facts.slow_start is not None
    assert "2 threads" in facts.slow_start
    assert [test.outcome for test in ran.tests] == ["passed"]


async def test_a_triton_that_comes_with_python_itself_is_of_either_kind(
    project, worker_tmp, tmp_path, monkeypatch
):
    """What was to import torch alone has triton too, and triton decides once what it is."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import triton\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    kind = "import triton.language.standard as s\nkind = type(s.max).__name__\n"
    tested = kind + "def value():\n    return int(kind == 'InterpretedFunction')\n"
    loaded = kind + "assert kind == {!r}\n"
    async with WorkerEvaluator(Target(python=PYTHON)) as worker:
        facts = await worker.open(project.workspace())
        assert (facts.mode, facts.slow_start) == ("interpret", None)
        assert isinstance(await project.judge(worker, tested), records.Correct)
        compiled = loaded.format("JITFunction")
        assert not (await worker.compile(project.unit, compiled, (), "gfx942")).errors
        interpreted = loaded.format("InterpretedFunction")
        assert (await worker.compile(project.unit, interpreted, (), "gfx942")).errors


async def test_a_killed_zygote_is_replaced(project, worker, worker_tmp, processes_naming):
    await worker.open(project.workspace())
    before = await worker.run_tests(("test_unit.py",), None, lambda _: None)
    zygotes = [
        pid
        for pid in processes_naming(f"{worker_tmp}/whet-worker-")
        if b"zygote.serve(" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert zygotes
    for pid in zygotes:
        os.kill(pid, signal.SIGKILL)
    for _ in range(2):
        ran = await worker.run_tests(("test_unit.py",), None, lambda _: None)
        assert [test.outcome for test in ran.tests] == [test.outcome for test in before.tests]
    again = processes_naming(f"{worker_tmp}/whet-worker-")
    assert set(again) - set(zygotes)


async def test_stale_folders_are_swept_and_nobody_elses(tmp_path):
    for name in ("whet-worker-1-dead", "whet-worker-2-held", "whet-worker-3-young", "whet-locks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scratch").mkdir()
    for name in ("whet-worker-1-dead", "whet-worker-2-held"):
        (tmp_path / name / "alive").touch()
    os.utime(tmp_path / "whet-locks", (1000, 1000))
    with (tmp_path / "whet-worker-2-held" / "alive").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        subprocess.run(
            [PYTHON, "-I", "-c", targets.BOOT],
            input=targets.greeting(), env={**os.environ, "TMPDIR": str(tmp_path)},
            capture_output=True, check=True,
        )  # fmt: skip
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"whet-worker-2-held", "whet-worker-3-young", "whet-locks"}


async def test_removing_a_tree_follows_no_link_and_minds_no_mode(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o750)
    (outside / "kept").touch()
    scratch = tmp_path / "scratch"
    (scratch / "locked" / "deep").mkdir(parents=True)
    (scratch / "link").symlink_to(outside)
    (scratch / "locked").chmod(0)
    remove_tree(str(scratch))
    assert not scratch.exists()
    assert (outside / "kept").exists()
    assert outside.stat().st_mode & 0o777 == 0o750


# ---- silence, last: the limit passed while the tests above ran ------------------------


async def test_a_silent_host_is_given_up_after_20_seconds(silent_worker):
    """The link may be dead with both ends still open: only heartbeats tell."""
    ended, folder = silent_worker
    silence_s = ended.result()
    assert protocol.SILENCE_LIMIT_S - 1 < silence_s < protocol.SILENCE_LIMIT_S + 10
    assert list(folder.iterdir()) == []
