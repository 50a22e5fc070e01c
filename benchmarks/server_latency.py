"""How long an editor waits while a person types: the real server on a large file.

    python benchmarks/server_latency.py [--kernels 500] [--rounds 100]

The file has 500 kernels with their launchers in about 5,750 lines. A round changes one
line inside a kernel and asks for lenses (from sending the change to having the fresh
lenses), then asks for hover, actions and hints at the place. Prints a markdown table and
writes it to `benchmarks/results/server_latency.md`.
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
from pathlib import Path
from typing import Any

from server_start import cpu_seconds, processor

RESULT = Path(__file__).parent / "results" / "server_latency.md"
URI = "file:///bench/kernels.py"

KERNEL = """@triton.jit
def scale_{n}_kernel(x_ptr, out_ptr, n_elements, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, mask=at < n_elements)
    tl.store(out_ptr + at, x * {n}, mask=at < n_elements)


def scale_{n}(x, out):
    scale_{n}_kernel[(triton.cdiv(x.numel(), 1024),)](x, out, x.numel(), BLOCK=1024)


"""
GOALS_MS = {"change to fresh lenses": 10, "hover": 5, "actions": 5, "hints": 5}


class Server:
    """Speaks to `whet serve` and waits for each answer."""

    def __init__(self) -> None:
        command = [str(Path(sys.executable).parent / "whet"), "serve"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ids = 0

    def notify(self, method: str, params: Any, **fields: Any) -> None:
        assert self.process.stdin is not None
        message = {"jsonrpc": "2.0", "method": method, "params": params, **fields}
        body = json.dumps(message).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def ask(self, method: str, params: Any) -> bytes:
        """The answer's bytes: taking them apart is the editor's business."""
        self.ids += 1
        self.notify(method, params, id=self.ids)
        while True:
            body = self._read()
            if f'"id": {self.ids}'.encode() in body[-60:] + body[:60]:
                return body

    def _read(self) -> bytes:
        assert self.process.stdout is not None
        n_bytes = 0
        while (line := self.process.stdout.readline()) not in {b"\r\n", b""}:
            if line.lower().startswith(b"content-length:"):
                n_bytes = int(line.partition(b":")[2])
        if not n_bytes:
            raise RuntimeError("the server is gone")
        return self.process.stdout.read(n_bytes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernels", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()
    text = "import triton\nimport triton.language as tl\n\n\n" + "".join(
        KERNEL.format(n=n) + "# a comment\n" * (n % 3) for n in range(arguments.kernels)
    )
    server = Server()
    try:
        waits = measure(server, text, arguments.rounds)
    finally:
        server.process.kill()
        server.process.communicate()
    written = table(waits, n_lines=text.count("\n"), n_kernels=arguments.kernels)
    print(written)
    RESULT.write_text(written, "utf-8")


def measure(server: Server, text: str, n_rounds: int) -> dict[str, list[float]]:
    server.ask("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
    server.notify("initialized", {})
    item = {"uri": URI, "languageId": "python", "version": 1, "text": text}
    document = {"uri": URI}
    waits: dict[str, list[float]] = {"open to first lenses": []}
    began = time.perf_counter()
    server.notify("textDocument/didOpen", {"textDocument": item})
    server.ask("textDocument/codeLens", {"textDocument": document})
    waits["open to first lenses"].append(1000 * (time.perf_counter() - began))
    defs = [n for n, line in enumerate(text.split("\n")) if line.startswith("def scale_")]
    for number in range(n_rounds):
        line = defs[2 * (number * 37 % (len(defs) // 2))]
        here = {"line": line, "character": 6}
        change = {
            "range": {
                "start": {"line": line + 1, "character": 4},
                "end": {"line": line + 1, "character": 4},
            },
            "text": "a",
        }
        began, cpu = time.perf_counter(), cpu_seconds(server.process.pid)
        server.notify(
            "textDocument/didChange",
            {"textDocument": {**document, "version": number + 2}, "contentChanges": [change]},
        )
        server.ask("textDocument/codeLens", {"textDocument": document})
        waits.setdefault("change to fresh lenses", []).append(1000 * (time.perf_counter() - began))
        cpu = cpu_seconds(server.process.pid) - cpu
        waits.setdefault("of it on a processor, in the server", []).append(1000 * cpu)
        window = {
            "start": {"line": max(line - 25, 0), "character": 0},
            "end": {"line": line + 25, "character": 0},
        }
        for name, method, params in (
            ("hover", "hover", {"position": here}),
            (
                "actions",
                "codeAction",
                {"range": {"start": here, "end": here}, "context": {"diagnostics": []}},
            ),
            ("hints", "inlayHint", {"range": window}),
        ):
            if name == "hover":  # the first one reads the map of tests; a person waits once
                server.ask(f"textDocument/{method}", {"textDocument": document, **params})
            began = time.perf_counter()
            server.ask(f"textDocument/{method}", {"textDocument": document, **params})
            waits.setdefault(name, []).append(1000 * (time.perf_counter() - began))
    return waits


def table(waits: dict[str, list[float]], *, n_lines: int, n_kernels: int) -> str:
    rows = [
        "# Latency of the language server",
        "",
        (
            f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, {processor()}, {os.cpu_count()} cores, "
            f"{platform.system()}, Python {platform.python_version()}; measured at the client's end of "
            f"the pipe on {n_lines:,} lines with {n_kernels} kernels; load average "
            f"{os.getloadavg()[0]:.1f} at the end, niceness {os.nice(0)}."
        ),
        "",
        "| wait | median | p95 | goal for p95 | times |",
        "|---|---|---|---|---|",
    ]
    for name, kept in waits.items():
        p95 = statistics.quantiles(kept, n=20)[-1] if len(kept) > 1 else kept[0]
        goal = f"{GOALS_MS[name]} ms" if name in GOALS_MS else ""
        rows.append(
            f"| {name} | {statistics.median(kept):.1f} ms | {p95:.1f} ms | {goal} | {len(kept)} |"
        )
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
