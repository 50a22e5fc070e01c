"""When the editor goes, so does the server, with everything that it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from whet_server import parent

WHET = [str(Path(sys.executable).parent / "whet"), "serve"]
GONE_S = 3.0

EDITOR = """
import json, os, subprocess, sys, time
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
    "processId": os.getpid(), "rootUri": None, "capabilities": {}}}).encode()
server.stdin.write(b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body)
server.stdin.flush()
server.stdout.readline()
print(server.pid, flush=True)
time.sleep(600)
"""

HOLDER = "import os, sys, time; os.set_inheritable(0, True); time.sleep(600)"


def wait_gone(*pids: int) -> float:
    began = time.monotonic()
    while any(parent.is_alive(pid) for pid in pids) and time.monotonic() - began < 20:
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.fixture
def editor():
    """A process that started the server and told it its id; then it sleeps."""
    process = subprocess.Popen(
        [sys.executable, "-c", EDITOR, *WHET], stdout=subprocess.PIPE, text=True
    )
    server = int(process.stdout.readline())
    yield process, server
    process.kill()
    process.wait()
    if parent.is_alive(server):
        os.kill(server, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_goes_with_its_editor(editor, number):
    process, server = editor
    process.send_signal(number)
    process.wait()
    assert wait_gone(server) < GONE_S


def test_it_goes_even_when_somebody_else_holds_its_standard_input():
    """Then there is no end of input; only the editor's process id tells."""
    reading, writing = os.pipe()
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    server = subprocess.Popen(WHET, stdin=reading, stdout=subprocess.PIPE)
    try:
        initialize = {"processId": sleeper.pid, "rootUri": None, "capabilities": {}}
        os.write(writing, message("initialize", initialize, id=1))
        server.stdout.readline()
        assert server.poll() is None
        sleeper.kill()
        sleeper.wait()
        began = time.monotonic()
        server.wait(20)
        assert time.monotonic() - began < GONE_S
    finally:
        server.kill()
        sleeper.kill()
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize(("last", "status"), [((), 1), (("exit",), 1), (("shutdown", "exit"), 0)])
def test_its_exit_status_says_whether_it_was_told_to_go(last, status):
    server = subprocess.Popen(WHET, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    told = [message("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, id=1)]
    told += [
        message(method, None, **({"id": 2} if method == "shutdown" else {})) for method in last
    ]
    _, _ = server.communicate(b"".join(told), timeout=20)
    assert server.returncode == status


def test_descendants_are_ended_though_they_ignore_a_polite_signal(tmp_path):
    """A child that ignores SIGTERM, and its child in a session of its own."""
    script = tmp_path / "family.py"
    script.write_text(
        "import signal, subprocess, sys, time\n"
        "from whet_server import parent\n"
        "deaf = 'import signal, subprocess, sys, time; '\\\n"
        "       'signal.signal(signal.SIGTERM, signal.SIG_IGN); '\\\n"
        '       \'p = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],\'\\\n'
        "       ' start_new_session=True); print(p.pid, flush=True); time.sleep(600)'\n"
        "child = subprocess.Popen([sys.executable, '-c', deaf], stdout=subprocess.PIPE, text=True)\n"
        "grandchild = int(child.stdout.readline())\n"
        "assert set(parent.descendants(parent.os.getpid())) == {child.pid, grandchild}\n"
        "parent.end_children()\n"
        "child.wait()\n"
        "print(child.pid, grandchild)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=True
    )
    assert wait_gone(*map(int, done.stdout.split())) < GONE_S


def test_a_zombie_is_not_alive_and_an_unknown_id_is_not_watched():
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not parent.is_alive(process.pid)
    process.wait()
    told: list[int] = []
    parent.watch_parent(process.pid, lambda: told.append(1))
    assert parent.is_alive(os.getpid())
    assert told == []


def message(method: str, params, **fields) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **fields}).encode()
    return b"Content-Length: %d\r\n\r\n" % len(body) + body
