"""Programs in a child of a Python that has torch and triton loaded already, as the worker's own
children are: a cold start of both costs several seconds, and hundreds of tests need one.

    ran = warm.run(code, "argument", interpret=True, environ={...}, cwd=folder)

One preloaded process for each kind of triton serves one process of tests, and ends with it.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

_PRELOAD = (
    "numpy", "torch", "torch.testing", "torch.autograd", "torch.distributed.tensor", "triton",
    "triton.language", "triton.runtime.interpreter", "triton.compiler",
    "triton.compiler.code_generator", "pytest", "_pytest.config", "unittest.mock",
)  # fmt: skip


def run(
    code: str,
    *arguments: str,
    interpret: bool,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 600.0,
) -> subprocess.CompletedProcess[str]:
    """`code` as `python -c code arguments...` would run it. `environ` is the whole environment;
    of it, what Python and triton read at their start has no effect."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        variables = dict(os.environ if environ is None else environ)
        variables["TRITON_INTERPRET"] = "1" if interpret else "0"
        order = {
            "code": code, "arguments": arguments, "environ": variables, "out": str(out),
            "err": str(err), "cwd": str(cwd or Path.cwd()), "timeout_s": timeout_s,
        }  # fmt: skip
        status = _server(interpret=interpret).ask(order)
        return subprocess.CompletedProcess(
            [sys.executable, "-c", code, *arguments], status,
            out.read_text("utf-8", "replace"), err.read_text("utf-8", "replace"),
        )  # fmt: skip


def run_file(path: Path) -> Any:
    """What a script prints on the interpreter, as JSON."""
    code = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"
    ran = run(code, str(path), interpret=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


class _Server:
    def __init__(self, *, interpret: bool) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            # numpy's OpenBLAS starts threads at import; a process that forks must have one.
            env={**os.environ, "TRITON_INTERPRET": "1" if interpret else "0",
                 "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, order: dict[str, Any]) -> int:
        """The exit status. Raises `TimeoutError`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if answer is None:
            raise TimeoutError(f"still running after {order['timeout_s']:.0f} s")
        return int(answer)

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@functools.cache
def _server(*, interpret: bool) -> _Server:
    server = _Server(interpret=interpret)
    atexit.register(server.stop)
    return server


# ---- the preloaded process -------------------------------------------------------------


def _serve() -> None:
    sys.path[0] = ""  # as `python -c` has it
    for name in _PRELOAD:
        __import__(name)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a fork of several threads may hang"
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _carry_out(order)
        print(json.dumps(_status(child, order["timeout_s"])), flush=True)  # noqa: T201


def _status(child: int, timeout_s: float) -> int | None:
    """None if it had to be ended."""
    over = []

    def end(*_: object) -> None:
        over.append(True)
        os.killpg(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    _, how = os.waitpid(child, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return None if over else os.waitstatus_to_exitcode(how)


def _carry_out(order: dict[str, Any]) -> NoReturn:
    status = 1
    try:
        os.setsid()
        for path, number in ((os.devnull, 0), (order["out"], 1), (order["err"], 2)):
            file = os.open(path, os.O_RDWR | os.O_CREAT)
            os.dup2(file, number)
        sys.stdin = os.fdopen(0)
        os.environ.clear()
        os.environ.update(order["environ"])
        tempfile.tempdir = None
        os.chdir(order["cwd"])
        sys.argv = ["-c", *order["arguments"]]
        main = type(sys)("__main__")
        sys.modules["__main__"] = main
        exec(compile(order["code"], "<string>", "exec"), main.__dict__)
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - as an interpreter ends a script
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
