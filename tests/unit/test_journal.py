"""The store: exact, durable, one worker per run, and clear when the disk is not."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

import search_world as world

from whet_agent import events as alphabet
from whet_agent.events import SCHEMA, Created, Event, Judged, Ticked
from whet_agent.store.codec import dump_event, parse_event
from whet_agent.store.journal import Journal, JournalError, LeaseHeldError
from whet_agent.store.lease import Holder, is_gone, this_process
from whet_agent.store.mounts import network_file_system
from whet_agent.testing.doubles import timed_verdict, wrong_verdict
from whet_evaluator.worker.launch_records import Argument, Launch
from whet_evaluator.worker.records import Correct, Untimed

st.register_type_strategy(float, st.floats(allow_nan=False))
MEMBERS = Event.__args__


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.__name__)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_event_survives_the_store(member, data):
    event = data.draw(st.from_type(member))
    text = dump_event(event)
    assert parse_event(text) == event
    assert text.isascii()


def test_scalars_keep_their_types():
    values = (1, 1.0, True, "1", None, float("inf"), 2**70)
    arguments = tuple(Argument(name="x", type="i32", value=value) for value in values)
    launch = Launch(kernel="k", grid=(1,), arguments=arguments, options={"a": True, "b": 1})
    verdict = Correct(tests=(), launches=(launch,), compiled=(), timing=Untimed(reason="no"))
    event = Judged(id="j", candidate="c", verdict=verdict, stage_s={}, at=0.0)
    back = parse_event(dump_event(event)).verdict.launches[0]
    assert [(type(a.value), a.value) for a in back.arguments] == [(type(v), v) for v in values]
    assert [type(v) for v in back.options.values()] == [bool, int]


def test_text_no_encoding_can_carry_survives():
    event = Judged(
        id="j", candidate="c", verdict=wrong_verdict("\udc80\x00\u2028"), stage_s={}, at=0.0
    )
    assert parse_event(dump_event(event)) == event


def test_the_alphabet_is_whole():
    assert {member.__name__ for member in MEMBERS} == {
        name
        for name, value in vars(alphabet).items()
        if isinstance(value, type) and value.__module__ == alphabet.__name__
    }


async def test_events_come_back_in_order(tmp_path):
    journal = Journal(tmp_path / "deep" / "runs.sqlite3")
    story = [Ticked(at=float(number)) for number in range(20)]
    await journal.append("a", *story[:7])
    await journal.append("b", Ticked(at=100.0))
    await asyncio.gather(*(journal.append("a", event) for event in story[7:]))
    assert await journal.events("a") == tuple(story)
    assert journal.load_runs() == ("b", "a")
    assert journal.load_begun() == ()  # neither says what was asked for
    assert journal.load_events("none") == ()
    journal.close()
    journal.close()


async def test_runs_are_listed_with_what_was_asked_for_newest_first(tmp_path):
    journal = Journal(tmp_path / "runs.sqlite3")
    begun = [Created(run=run, task=world.task(), at=at) for run, at in (("a", 1.0), ("b", 2.0))]
    for event in begun:
        await journal.append(event.run, event, Ticked(at=9.0))
    assert journal.load_begun() == (("b", begun[1]), ("a", begun[0]))
    journal.close()


def test_two_processes_write_one_store(tmp_path):
    path = tmp_path / "runs.sqlite3"
    script = (
        "import asyncio, sys; from pathlib import Path\n"
        "from whet_agent.store.journal import Journal; from whet_agent.events import Ticked\n"
        "async def main():\n"
        "    journal = Journal(Path(sys.argv[1]))\n"
        "    for n in range(50): await journal.append('shared', Ticked(at=float(n)))\n"
        "    journal.close()\n"
        "asyncio.run(main())\n"
    )
    others = [subprocess.Popen([sys.executable, "-c", script, str(path)]) for _ in range(2)]
    assert [other.wait(60) for other in others] == [0, 0]
    journal = Journal(path)
    ats = [event.at for event in journal.load_events("shared")]
    assert sorted(ats) == sorted([*map(float, range(50))] * 2)
    journal.close()


WRITER = (
    "import asyncio, sys; from pathlib import Path\n"
    "from whet_agent.store.journal import Journal; from whet_agent.events import Ticked\n"
    "async def main():\n"
    "    journal = Journal(Path(sys.argv[1])); n = 0\n"
    "    async with journal.lease('r'):\n"
    "        while True:\n"
    "            await journal.append('r', Ticked(at=float(n)))\n"
    "            print(n, flush=True); n += 1\n"
    "asyncio.run(main())\n"
)


def start_writer(path: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_what_was_acknowledged_survives_kill_9(tmp_path):
    writer = start_writer(tmp_path / "runs.sqlite3")
    acknowledged = [int(writer.stdout.readline()) for _ in range(100)]
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged += [int(line) for line in writer.stdout.read().split("\n")[:-1]]
    writer.wait(10)
    journal = Journal(tmp_path / "runs.sqlite3")
    stored = [event.at for event in journal.load_events("r")]
    assert stored[: len(acknowledged)] == [float(n) for n in acknowledged]
    assert len(stored) - len(acknowledged) <= 1
    journal.close()


# ---- leases ------------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
async def test_a_living_holder_keeps_its_run_and_a_dead_one_loses_it_at_once(tmp_path):
    writer = start_writer(tmp_path / "runs.sqlite3")
    writer.stdout.readline()
    journal = Journal(tmp_path / "runs.sqlite3")
    with pytest.raises(LeaseHeldError, match=f"process {writer.pid}"):
        async with journal.lease("r"):
            pass
    assert journal.load_holder("r").pid == writer.pid
    writer.kill()
    writer.wait(10)
    assert journal.load_holder("r") is None
    async with journal.lease("r"):
        assert journal.load_holder("r") == this_process()
    assert journal.load_holder("r") is None
    journal.close()


async def test_one_process_does_not_hold_a_run_twice(tmp_path):
    first, second = Journal(tmp_path / "runs.sqlite3"), Journal(tmp_path / "runs.sqlite3")
    async with first.lease("r"):
        with pytest.raises(LeaseHeldError):
            async with second.lease("r"):
                pass
        async with second.lease("another"):
            pass
    first.close()
    second.close()


async def test_a_process_that_lost_its_run_writes_no_more(tmp_path):
    journal = Journal(tmp_path / "runs.sqlite3")
    async with journal.lease("r"):
        await journal.append("r", Ticked(at=0.0))
        with sqlite3.connect(tmp_path / "runs.sqlite3") as db:
            db.execute("UPDATE lease SET host = 'elsewhere', pid = 7")
        with pytest.raises(LeaseHeldError, match="process 7 on elsewhere"):
            await journal.append("r", Ticked(at=1.0))
    assert len(journal.load_events("r")) == 1
    journal.close()


def test_another_host_is_told_by_its_silence():
    away = Holder(host="elsewhere", pid=os.getpid(), started="1")
    assert not is_gone(away, heartbeat=1000.0, now=1059.0)
    assert is_gone(away, heartbeat=1000.0, now=1061.0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_pid_used_again_is_not_the_holder():
    me = this_process()
    assert not is_gone(me, heartbeat=0.0, now=time.time())
    assert is_gone(Holder(host=me.host, pid=me.pid, started="1"), heartbeat=0.0, now=0.0)


# ---- where the disk is not what it should be -------------------------------------------------


def test_a_run_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "runs.sqlite3"
    Journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute(
            "INSERT INTO event VALUES ('r', 0, ?, 'Ticked', ?, 0.0)",
            (SCHEMA + 1, '{"_type": "Beamed", "at": 0.0}'),
        )
    journal = Journal(path)
    with pytest.raises(JournalError, match=r"newer Whet.*update Whet"):
        journal.load_events("r")
    assert journal.load_runs() == ("r",)
    journal.close()


def test_a_store_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "runs.sqlite3"
    Journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="newer Whet"):
        Journal(path)


def test_a_damaged_event_is_said(tmp_path):
    path = tmp_path / "runs.sqlite3"
    Journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO event VALUES ('r', 0, 1, 'Ticked', '{\"at\": 1', 0.0)")
    journal = Journal(path)
    with pytest.raises(JournalError, match="damaged event"):
        journal.load_events("r")
    journal.close()


@pytest.mark.parametrize("content", [b"hello, this is no database" * 100, b"SQLite format 3\x00"])
def test_a_damaged_store_is_said(tmp_path, content):
    path = tmp_path / "runs.sqlite3"
    path.write_bytes(content + bytes(5000))
    with pytest.raises(JournalError, match="damaged: move it away"):
        Journal(path)
    assert path.read_bytes().startswith(content), "the user's file is as it was"


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be used"):
        Journal(tmp_path / "file" / "runs.sqlite3")


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_full_disk_is_said_with_the_cure_and_loses_nothing(tmp_path):
    script = (
        "import asyncio, resource, signal, sys; from pathlib import Path\n"
        "from whet_agent.store.journal import Journal, JournalError\n"
        "from whet_agent.events import Ticked\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "async def main():\n"
        "    journal = Journal(Path(sys.argv[1])); n = 0\n"
        "    try:\n"
        "        while True: await journal.append('r', Ticked(at=float(n))); n += 1\n"
        "    except JournalError as error: print(n); print(error)\n"
        "    journal.close()\n"
        "asyncio.run(main())\n"
    )
    path = tmp_path / "runs.sqlite3"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    stored, sentence = done.stdout.split("\n", 1)
    assert "free some space" in sentence
    journal = Journal(path)
    assert len(journal.load_events("r")) == int(stored) > 10
    journal.close()


MOUNTS = """\
/dev/vda1 / ext4 rw 0 0
proc /proc proc rw 0 0
filer:/home /home nfs4 rw,vers=4.2 0 0
/dev/vdb1 /home/local ext4 rw 0 0
box:/x /mnt/my\\040disk fuse.sshfs rw 0 0
C:\\134 /mnt/c 9p rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib", None),
        ("/home/ada/.local/share", "nfs4"),
        ("/homes/ada", None),
        ("/home/local/ada", None),
        ("/mnt/my disk/x", "fuse.sshfs"),
        ("/mnt/c/Users", "9p"),
    ],
)
def test_network_file_systems(path, kind):
    assert network_file_system(Path(path), MOUNTS) == kind


def test_a_local_store_uses_wal(tmp_path):
    journal = Journal(tmp_path / "runs.sqlite3")
    with sqlite3.connect(tmp_path / "runs.sqlite3") as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert journal.notice == ""
    journal.close()


def test_a_store_on_a_network_file_system_uses_the_rollback_journal(tmp_path):
    mounts = f"filer:/x {tmp_path} nfs4 rw 0 0\n"
    journal = Journal(tmp_path / "runs.sqlite3", mounts=mounts)
    with sqlite3.connect(tmp_path / "runs.sqlite3") as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert "network file system (nfs4)" in journal.notice
    journal.close()


def test_a_task_with_everything_set_survives():
    event = Created(run="r", task=world.task(max_usd=1.0, arch="gfx942"), at=1.0)
    assert parse_event(dump_event(event)) == event
    timed = Judged(id="j", candidate="c", verdict=timed_verdict(1.2), stage_s={"a": 1.0}, at=0.0)
    assert parse_event(dump_event(timed)) == timed
