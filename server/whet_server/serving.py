"""The server's process: standard input and output, signals, and an orderly end.

Whatever ends it (`exit`, end of input, a signal, the editor's death) the session is
closed first, and then every process that is left of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
from typing import NoReturn

from pygls.io_ import StdinAsyncReader, run_async

from whet_server import parent
from whet_server.server import Failed, WhetServer, build
from whet_server.stdio import Output, claim_stdout

log = logging.getLogger(__name__)

CLOSE_S = 1.5
"""For an orderly end; what is not done by then is killed. The editor waits 2 s or so."""


def serve() -> NoReturn:
    """Speaks LSP on standard input and output until the client leaves. Does not return."""
    _set_up_logging()
    output = claim_stdout()
    # A full collection takes 60 ms, felt as a late lens: what was imported stays and is not
    # looked at again, and a keystroke's thousand small values are no reason to begin one.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()
    asyncio.run(_serve(output))
    raise AssertionError("the loop ends the process itself")


async def _serve(output: Output) -> NoReturn:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None

    def on_editor_death() -> None:
        """In a thread of its own: the loop gets its chance, and then no say."""
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(task.cancel)
        threading.Event().wait(CLOSE_S)
        _end(output, 1)

    server = build(lambda pid: parent.watch_parent(pid, on_editor_death))
    server.protocol.set_writer(output)
    if sys.platform != "win32":
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    reader = StdinAsyncReader(sys.stdin.buffer, server.thread_pool)
    try:
        await run_async(server.stop, reader, server.protocol, log, server.report_server_error)
    except asyncio.CancelledError:
        log.info("told to end")
    await _close(server)
    _end(output, server.exit_status)


async def _close(server: WhetServer) -> None:
    """In order if it can be done in time; whatever goes wrong here, the process ends."""
    if not hasattr(server, "session"):
        return
    try:
        await asyncio.wait_for(server.session.close(), CLOSE_S)
    except TimeoutError:
        log.warning("some work did not end in time and is killed")
    except Exception:
        log.exception("closing the session")


def _end(output: Output, status: int) -> NoReturn:
    """Leaves without waiting for the thread that still reads standard input."""
    parent.end_children()
    output.flush(0.5)
    sys.stderr.flush()
    os._exit(status)


def _set_up_logging() -> None:
    """Warnings go to standard error, which editors show as the server's log."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("pygls.protocol.json_rpc").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """A refusal is an answer, not an error: its traceback says nothing. Nor does it matter
    that an editor gave up on what was answered meanwhile."""
    refused = record.exc_info and isinstance(record.exc_info[1], Failed)
    return not (refused or str(record.msg).startswith("Cancel notification for unknown"))
