"""At the strong level a candidate has no way to what is not its own: each way is tried.

Real workers, real processes. The candidate collects the attacks that worked and fails its
test with their names, so a verdict other than `Correct` says which wall has a hole.
"""
# ruff: noqa: ASYNC221, ASYNC240 - a test may block its own loop

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

import whet_evaluator
from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Target
from whet_evaluator.worker import records
from whet_evaluator.worker.shield import Shield
from whet_evaluator.worker.view import host_view

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "whet-7f3a-not-for-candidates"
SECRET_FILES = (
    ".ssh/id_ed25519", ".netrc", ".aws/credentials", ".config/whet/key", ".cache/huggingface/token"
)  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with secrets, which the module's worker takes for its own."""
    folder = tmp_path_factory.mktemp("home")
    for name in SECRET_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(SECRET)
    before = os.environ["HOME"]
    os.environ["HOME"] = str(folder)
    yield folder
    os.environ["HOME"] = before


@pytest_asyncio.fixture(loop_scope="module")
async def strong(home, worker, project) -> WorkerEvaluator:
    """The module's worker, with its home, where this host allows strong isolation."""
    facts = await worker.open(project.workspace())
    if facts.isolation != "strong":
        assert facts.isolation_detail, "a weaker level says why"
        pytest.skip(f"isolation is {facts.isolation} here: {facts.isolation_detail}")
    return worker


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of this user's with a secret in its environment, as an editor's server is."""
    process = subprocess.Popen(["sleep", "1000"], env={"OPENAI_API_KEY": SECRET})
    yield process
    process.kill()
    process.wait()


async def attack(project, worker, lines: str, **names: object) -> None:
    """Judges a candidate that runs `lines`, which append what worked to `worked`."""
    given = "".join(f"    {name} = {value!r}\n" for name, value in names.items())
    text = (
        "import contextlib, ctypes, glob, os, shutil, signal, socket, subprocess, sys\n"
        "def value():\n    worked = []\n" + given + textwrap.indent(textwrap.dedent(lines), "    ")
    )
    verdict = await project.judge(worker, text + "\n    return worked or 1\n")
    assert isinstance(verdict, records.Correct), verdict


async def test_no_secret_can_be_read(project, strong, home, bystander):
    """Neither files of the home nor any process's environment, by whatever name."""
    real_home = Path("~root" if os.getuid() == 0 else f"~{os.getlogin()}").expanduser()
    view = host_view(os.environ, ())
    shown = (*view.shown, *(link for link, _ in view.links))
    hidden = [
        str(entry)
        for entry in real_home.iterdir()
        if not any(path.startswith(str(entry)) for path in shown)
    ]
    await attack(
        project, strong,
        """
        for path in files + hidden:
            if os.path.lexists(path):
                worked.append(path)
        for path in [os.path.expanduser(p) for p in ("~/.netrc", "~/.ssh", "~/.aws")]:
            if os.path.exists(path):
                worked.append(path)
        for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if secret.encode() in open(path, "rb").read():
                    worked.append(path)
        if os.path.exists(f"/proc/{bystander}") and "sleep" in open(f"/proc/{bystander}/comm").read():
            worked.append("the bystander is in sight")
        """,
        files=[str(home / name) for name in SECRET_FILES], hidden=hidden,
        secret=SECRET[:8], bystander=bystander.pid,
    )  # fmt: skip


async def test_no_network_not_even_this_hosts_loopback(project, strong, tmp_path):
    """Where a model's endpoint or a session bus would listen, nobody hears a candidate."""
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as named,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        named.bind(str(tmp_path / "agent"))
        abstract.bind(f"\0whet-test-{os.getpid()}")
        named.listen()
        abstract.listen()
        await attack(
            project, strong,
            """
            for family, address in (
                (socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET, (host, port)),
                (socket.AF_INET, ("192.0.2.1", 80)),
                (socket.AF_UNIX, path), (socket.AF_UNIX, abstract),
            ):
                with socket.socket(family) as talk, contextlib.suppress(OSError):
                    talk.settimeout(2.0)
                    talk.connect(address)
                    worked.append(str(address))
            if [name for _, name in socket.if_nameindex() if name != "lo"]:
                worked.append("an interface beside lo")
            with socket.create_server(("127.0.0.1", 0)) as own:  # its own loopback is up
                socket.create_connection(own.getsockname()).close()
            """,
            port=tcp.getsockname()[1], host=socket.gethostbyname(socket.gethostname()),
            path=str(tmp_path / "agent"), abstract=f"\0whet-test-{os.getpid()}",
        )  # fmt: skip


async def test_no_other_process_can_be_touched(project, strong, bystander):
    """Not its memory, by file, trace or call; not by a signal; nor the guardian's memory.

    Only bait is aimed at: were a wall to fall, nobody else must be hit.
    """
    await attack(
        project, strong,
        """
        libc = ctypes.CDLL(None, use_errno=True)
        for pid in [bystander, os.getppid()]:
            with contextlib.suppress(OSError):
                open(f"/proc/{pid}/mem", "r+b", 0).close()
                worked.append(f"memory of {pid}")
            if libc.ptrace(16, pid, None, None) == 0:  # PTRACE_ATTACH
                worked.append(f"trace of {pid}")
            buffer = ctypes.create_string_buffer(8)
            class Part(ctypes.Structure):
                _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
            local = Part(ctypes.addressof(buffer), 8)
            remote = Part(id(worked), 8)  # forks share addresses: it is mapped there too
            for call in (libc.process_vm_readv, libc.process_vm_writev):
                if call(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) > 0:
                    worked.append(f"pages of {pid}")
        with contextlib.suppress(OSError):
            os.kill(bystander, signal.SIGKILL)
        """,
        bystander=bystander.pid,
    )  # fmt: skip
    assert bystander.poll() is None


async def test_nothing_outside_the_scratch_can_be_changed(project, strong, home, worker_tmp):
    """Not the user's caches, project or packages; a neighbour's scratch is not even seen."""
    neighbour = next(worker_tmp.glob("whet-worker-*/scratch")) / "neighbour"
    neighbour.mkdir()
    (neighbour / "unit.py").write_text("")
    targets = [
        home / ".cache" / "planted", Path(sys.prefix) / "planted", project.root / "planted",
        Path("/etc/planted"), Path("/usr/planted"), Path("/planted"), neighbour / "planted",
        Path("/dev/shm/planted"), Path("/tmp/planted"),
    ]  # fmt: skip
    try:
        await attack(
            project, strong,
            """
            for path in targets:
                with contextlib.suppress(OSError):
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    open(path, "w").close()
            if os.path.lexists(neighbour + "/unit.py"):
                worked.append("a neighbour's files")
            for path in ("/proc/sys/kernel/hostname", "/proc/sysrq-trigger"):
                with contextlib.suppress(OSError):
                    open(path, "w").close()
                    worked.append(path)
            """,
            targets=[str(path) for path in targets], neighbour=str(neighbour),
        )  # fmt: skip
        assert [path for path in targets if path.exists()] == []
    finally:
        for path in (neighbour / "unit.py", *targets):
            path.unlink(missing_ok=True)
        neighbour.rmdir()


async def test_rights_cannot_be_regained(project, strong):
    """No mount, no way back into other namespaces, no capability."""
    await attack(
        project, strong,
        """
        libc = ctypes.CDLL(None, use_errno=True)
        os.mkdir("place")
        if libc.mount(b"none", b"place", b"tmpfs", 0, None) == 0:
            worked.append("mount")
            libc.umount2(b"place", 2)
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        if int(status["CapEff"], 16) or int(status["CapPrm"], 16) or int(status["NoNewPrivs"]) != 1:
            worked.append("capabilities")
        for name in ("pid", "mnt", "net", "user"):
            with contextlib.suppress(OSError):
                there = os.open(f"/proc/{os.getppid()}/ns/{name}", os.O_RDONLY)
                if libc.setns(there, 0) == 0:
                    worked.append(f"setns {name}")
        """,
    )  # fmt: skip


async def test_nothing_outlives_the_deadline(project, strong, processes_naming, wait_until):
    """A daemon that is deaf to SIGTERM, in a session of its own, orphaned twice."""
    mark = "97531.5"
    text = (
        "import os, signal, time\ndef value():\n"
        "    for _ in range(3):\n"
        "        if os.fork() == 0:\n"
        "            os.setsid()\n"
        "            if os.fork() == 0:\n"
        "                signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"                os.execvp('sh', ['sh', '-c', 'trap \"\" TERM; while :; do sleep {mark}; done'])\n"
        "            os._exit(0)\n"
        "    time.sleep(1000)\n"
    )
    verdict = await project.judge(strong, text, stage_s=5.0)
    assert verdict == records.TimedOut(stage="tests", limit_s=5.0)
    assert wait_until(lambda: processes_naming(mark) == [], 5.0)


PRELOADED = (
    "from pathlib import Path\n"
    "def value():\n"
    "    return int('zygote.serve(' in Path('/proc/self/cmdline').read_text())\n"
)
"""Right in a child of a zygote, wrong in one of a process started for it alone."""


async def test_a_confirmation_trusts_the_zygote_behind_these_walls(project, strong):
    assert isinstance(await project.judge(strong, PRELOADED, fresh=True), records.Correct)


# ---- weaker levels ---------------------------------------------------------------------


def without_bubblewrap(tmp_path: Path) -> tuple[str, ...]:
    """A prefix whose PATH has everything but bubblewrap."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "unshare", "sleep"):
        folder.joinpath(name).symlink_to(Path("/usr/bin") / name)
    return ("env", f"PATH={folder}")


async def test_without_bubblewrap_the_worker_makes_the_namespaces(project, tmp_path, worker_tmp):
    via = without_bubblewrap(tmp_path)
    async with WorkerEvaluator(Target(name="bare", via=via, python=sys.executable)) as bare:
        facts = await bare.open(project.workspace())
        assert "bubblewrap is not installed" in facts.isolation_detail
        ran = await bare.run_tests(("test_unit.py",), None, lambda _: None)
    assert [test.outcome for test in ran.tests] == ["passed"]
    if subprocess.run(["unshare", "-Urpf", "--mount-proc", "true"], check=False).returncode == 0:
        assert facts.isolation == "strong", facts.isolation_detail


async def test_without_user_namespaces_the_level_falls_and_says_why(project, worker_tmp):
    """The user who wants more is refused, with the reason; the others are served."""
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    via = ("unshare", "-Ur", "sh", "-c", forbid, "sh")
    if subprocess.run([*via, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespace here in which to forbid them")
    async with WorkerEvaluator(Target(name="poor", via=via, python=sys.executable)) as poor:
        facts = await poor.open(project.workspace())
        assert facts.isolation != "strong"
        assert "max_user_namespaces is 0" in facts.isolation_detail
        assert isinstance(await project.judge(poor, PRELOADED), records.Correct)
        fresh = await project.judge(poor, PRELOADED, fresh=True)
        assert isinstance(fresh, records.Failed), "a candidate could have touched the zygote"
        ran = await poor.run_tests(("test_unit.py",), None, lambda _: None)
        assert [test.outcome for test in ran.tests] == ["passed"]
        wanting = project.workspace()
        wanting = replace(wanting, limits=replace(wanting.limits, isolation="strong"))
        with pytest.raises(EvaluatorError, match=r"limits\.isolation asks for strong") as caught:
            await poor.open(wanting)
    assert caught.value.culprit == "target"


@pytest.mark.parametrize("found", [True, False])
async def test_walls_that_hide_the_device_come_down_a_step_and_say_so(tmp_path, found):
    """The driver's part is played by a `torch` on the path: no test machine has a device."""
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "torch.py").write_text(
        f"class cuda:\n    is_available = staticmethod(lambda: {found})\n"
    )
    (tmp_path / "scratch").mkdir()
    shield = Shield(str(tmp_path), str(Path(whet_evaluator.__file__).parents[1]))
    await shield.choose({**os.environ, "PYTHONPATH": str(packages)}, str(tmp_path))
    if not shield.walls.namespaces:
        pytest.skip("this host gives no namespaces")
    assert await shield.hides_device() == found
    assert shield.walls.namespaces != found
    assert any("no device is found" in why for why in shield.walls.missing) == found
