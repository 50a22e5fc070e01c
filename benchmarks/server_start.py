"""How soon a language server answers `initialize`, and what it weighs then.

    python benchmarks/server_start.py [--peers ENVIRONMENT] [--runs 10]

Starts `whet serve`, and beside it jedi-language-server and pylsp if they are installed in
ENVIRONMENT (a virtual environment), in turns, so that a busy moment hits all alike. The
clock runs from starting the process to its answer. Prints a markdown table and writes it
to `benchmarks/results/server_start.md`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

RESULT = Path(__file__).parent / "results" / "server_start.md"
PEERS = {"jedi-language-server": "jedi-language-server", "pylsp": "python-lsp-server"}
SETTLE_S = 0.5
"""After the answer, before memory is read."""


@dataclass(frozen=True, kw_only=True)
class Server:
    name: str
    command: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class Start:
    seconds: float
    cpu_seconds: float
    rss_mib: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, help="virtual environment that has the others")
    parser.add_argument("--runs", type=int, default=10)
    arguments = parser.parse_args()
    servers = find_servers(arguments.peers)
    starts: dict[str, list[Start]] = {server.name: [] for server in servers}
    for _ in range(arguments.runs + 1):
        for server in servers:
            starts[server.name].append(measure(server))
    text = table(servers, {name: kept[1:] for name, kept in starts.items()})  # the first is cold
    print(text)
    RESULT.write_text(text, "utf-8")


def find_servers(peers: Path | None) -> list[Server]:
    scripts = Path(sys.executable).parent
    servers = [
        Server(
            name="whet",
            command=(str(scripts / "whet"), "serve"),
            version=version_in(Path(sys.executable), "whet"),
        )
    ]
    for script, package in PEERS.items():
        command = peers / "bin" / script if peers else None
        if command is not None and command.exists():
            version = version_in(command.parent / "python", package)
            servers.append(Server(name=script, command=(str(command),), version=version))
    return servers


def version_in(python: Path, package: str) -> str:
    ask = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run(
        [python, "-c", ask], capture_output=True, text=True, check=True
    ).stdout.strip()


def measure(server: Server) -> Start:
    began = time.perf_counter()
    process = subprocess.Popen(
        server.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdin is not None
        process.stdin.write(initialize())
        process.stdin.flush()
        read_message(process)
        seconds = time.perf_counter() - began
        cpu = cpu_seconds(process.pid)
        time.sleep(SETTLE_S)
        return Start(seconds, cpu, rss_mib(process.pid))
    finally:
        process.kill()
        process.communicate()


def initialize() -> bytes:
    params = {
        "processId": os.getpid(),
        "rootUri": Path.cwd().as_uri(),
        "capabilities": {
            "general": {"positionEncodings": ["utf-16"]},
            "workspace": {"applyEdit": True, "workspaceEdit": {"documentChanges": True}},
            "textDocument": {"hover": {"contentFormat": ["markdown"]}},
            "window": {"workDoneProgress": True},
        },
    }
    request = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    body = json.dumps(request).encode()
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def read_message(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    n_bytes = 0
    while (line := process.stdout.readline()) not in {b"\r\n", b""}:
        if line.lower().startswith(b"content-length:"):
            n_bytes = int(line.partition(b":")[2])
    if not n_bytes or not process.stdout.read(n_bytes):
        raise RuntimeError(f"{process.args!r} gave no answer")


def cpu_seconds(pid: int) -> float:
    """Time on a processor so far, of all threads: what a busy machine does not stretch much."""
    stats = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(stat.read_text("ascii").split()[0]) for stat in stats) / 1e9


def rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def table(servers: list[Server], starts: dict[str, list[Start]]) -> str:
    n_runs = len(next(iter(starts.values())))
    rows = [
        "# Start of the language server",
        "",
        (
            f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, {processor()}, "
            f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}; "
            f"measured: median of {n_runs} in turns after one that warms the file cache; load "
            f"average {os.getloadavg()[0]:.1f} at the end, niceness {os.nice(0)}."
        ),
        "",
        (
            "| server | version | `initialize` answered, median | range | of it on a processor "
            "| resident memory, median |"
        ),
        "|---|---|---|---|---|---|",
    ]
    for server in servers:
        seconds = [start.seconds for start in starts[server.name]]
        cpu = statistics.median(start.cpu_seconds for start in starts[server.name])
        memory = statistics.median(start.rss_mib for start in starts[server.name])
        rows.append(
            f"| {server.name} | {server.version} | {statistics.median(seconds):.3f} s "
            f"| {min(seconds):.3f} to {max(seconds):.3f} s | {cpu:.3f} s | {memory:.0f} MiB |"
        )
    return "\n".join(rows) + "\n"


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
