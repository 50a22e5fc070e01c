"""One editor's session: its buffers and runs, and what features read of them.

Everything here runs on one event loop, speaks no LSP and starts no work; `commands`
does that.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from whet_agent.project import project_root
from whet_server import features
from whet_server.accepting import is_due, stream
from whet_server.apps import Apps
from whet_server.documents import Buffer, Documents
from whet_server.heads import Heads
from whet_server.red import RedTests
from whet_server.reporter import Reporter
from whet_server.runs import Run, Runs
from whet_server.testmaps import TestMaps
from whet_server.to_lsp import Client
from whet_server.views import Finding, KernelState, KernelView, Place, Span, TargetView

HOVER_S = 0.5
"""How long a hover waits for the map of tests; the next one has it."""
KEPT_RUNS = 50
"""Runs of earlier sessions that are looked at, newest first."""
HEAD_S = 0.3
"""How long the first code action in a file waits for git; the next one has its answer."""


class Session:
    """`folders` are the client's workspace folders, `options` what it sent at the start."""

    def __init__(
        self, client: Client, *, folders: tuple[Path, ...], options: dict[str, Any]
    ) -> None:
        self.client = client
        self.documents = Documents()
        self.runs = Runs(self._run_changed)
        self.apps = Apps(options, client.inform)
        self.chosen_target: str | None = None
        self.reporter = Reporter(client, uri_of=self.uri_of, publish=self.publish)
        self._folders = folders
        self._known_roots: set[Path] = set()
        self._red = RedTests()
        self._published: dict[str, tuple[Finding, ...]] = {}
        self._status: dict[str, Any] | None = None
        self._tests = TestMaps()
        self.heads = Heads(self.reporter.refresh)
        self._streaming: set[asyncio.Task[None]] = set()

    # What features read.

    def states(self, buffer: Buffer, span: Span | None = None) -> tuple[KernelState, ...]:
        """Of all kernels, or of those that `span` touches."""
        return tuple(
            self._state(buffer, kernel)
            for kernel in buffer.kernels
            if span is None
            or (kernel.first_line <= span.end.line and span.start.line <= kernel.end_line)
        )

    async def state_at(self, buffer: Buffer, place: Place) -> KernelState | None:
        """Of the kernel whose head, or whose name somewhere in the file, is at `place`."""
        word = buffer.word_at(place)
        for kernel in buffer.kernels:
            if kernel.first_line <= place.line <= kernel.line or kernel.name == word:
                await self._tests.find(
                    self.root_of(buffer.path),
                    buffer.path,
                    kernel.qualname,
                    {b.path: b.text for b in self.documents},
                    timeout_s=HOVER_S,
                )
                return self._state(buffer, kernel)
        return None

    def where(self, buffer: Buffer) -> features.Where:
        return features.Where(
            uri=buffer.uri,
            version=buffer.version,
            target=self.target(self.root_of(buffer.path)),
            can_compare=self.client.capabilities.whet,
        )

    def target(self, root: Path | None = None) -> TargetView:
        """Of a project, or of the first one when none is named."""
        return self.apps.target(root or next(iter(self._roots()), None), self.chosen_target)

    # What the client tells.

    def opened(self, buffer: Buffer) -> None:
        self.documents.put(buffer)
        self.see_taken(buffer)
        self.publish()
        self.tell_status()

    def changed(self, buffer: Buffer) -> None:
        """Lenses and hints are asked for by the client itself; the rest is pushed."""
        if buffer.uri in self._published:
            self.reporter.poke()
        self.see_taken(buffer)
        self.tell_status()

    def see_taken(self, buffer: Buffer) -> None:
        """A best that the buffer holds is no offer, whichever way it was accepted."""
        for run in self.runs.all():
            if run.path == buffer.path and self._see_taken(run, buffer):
                self.reporter.changed(run)

    def _see_taken(self, run: Run, buffer: Buffer) -> bool:
        """Whether that changed."""
        before = run.taken
        kernel = buffer.kernel(run.kernel) if run.summary and run.summary.best else None
        run.taken = kernel is not None and run.fit(kernel.digest) == "after"
        return run.taken != before

    def closed(self, uri: str) -> None:
        self.documents.close(uri)
        if self._published.pop(uri, None):
            self.client.clear(uri)
        self.tell_status()

    def forget_tests(self) -> None:
        """A file was saved: the map of tests may be another one now."""
        self._tests.forget()

    async def settings_changed(self, options: dict[str, Any]) -> None:
        """Runs at work keep the settings they began with."""
        self.chosen_target = None
        if not self.runs.n_unfinished():
            await self.apps.reload(options)
        self.tell_status()

    async def close(self) -> None:
        self.reporter.close()
        self.heads.close()
        for task in self._streaming:
            task.cancel()
        await self.runs.close()
        await self.apps.close()

    # What the client is told.

    def publish(self) -> None:
        """Sends diagnostics of every buffer whose red tests or their places changed."""
        for buffer in self.documents:
            found = tuple(f for state in self._red_states(buffer) for f in features.findings(state))
            if found != self._published.get(buffer.uri, ()):
                self._published[buffer.uri] = found
                self.client.publish(buffer, found)

    def tell_status(self) -> None:
        n_kernels = sum(len(buffer.kernels) for buffer in self.documents)
        target = self.target()
        status = {
            "text": features.status_text(n_kernels, target),
            "kernels": n_kernels,
            "target": target.name,
        }
        if status != self._status:
            self._status = status
            self.client.notify("whet/status", status)

    # Where things are.

    def root_of(self, path: Path) -> Path:
        """The innermost workspace folder around `path`, else its project's root."""
        around = [folder for folder in self._folders if folder in path.parents]
        return max(around, key=lambda f: len(f.parts)) if around else project_root(path)

    def uri_of(self, run: Run) -> str:
        buffer = self.documents.at(run.path)
        return buffer.uri if buffer else run.path.as_uri()

    async def remember_runs(self, buffer: Buffer | None) -> None:
        """Reads the store's runs, once for each root: the buffer's, or all there are."""
        roots = (self.root_of(buffer.path),) if buffer else self._roots()
        for root in (root for root in roots if root not in self._known_roots):
            app = await self.apps.of(root)
            self._known_roots.add(root)
            app.history.journal.path  # noqa: B018 - opened here, on the loop; read in a thread
            for summary in (await asyncio.to_thread(app.history.runs, root=root))[:KEPT_RUNS]:
                self.runs.remember(Run.of_store(summary))

    def _roots(self) -> tuple[Path, ...]:
        return tuple(
            dict.fromkeys((*self._folders, *(self.root_of(b.path) for b in self.documents)))
        )

    # The parts.

    def _state(self, buffer: Buffer, kernel: KernelView) -> KernelState:
        views = tuple(run.view(kernel.digest) for run in self.runs.of(buffer.path, kernel.qualname))
        red, stale = self._red.of(buffer.path, kernel.qualname, kernel.digest, views)
        return KernelState(
            kernel=kernel,
            runs=views,
            red=red,
            red_stale=stale,
            tests=self._tests.known(buffer.path, kernel.qualname),
            edited=self.heads.differs(buffer.path, kernel),
        )

    def _red_states(self, buffer: Buffer) -> tuple[KernelState, ...]:
        return tuple(
            self._state(buffer, kernel)
            for kernel in buffer.kernels
            if self._red.knows(buffer.path, kernel.qualname)
        )

    def _run_changed(self, run: Run) -> None:
        self._red.learn(run)
        buffer = self.documents.at(run.path)
        if buffer is not None:
            self._see_taken(run, buffer)
        self.reporter.changed(run)
        self._stream(run)

    def _stream(self, run: Run) -> None:
        """With `whet.edits = "stream"` each improvement goes in while the unit is the run's own."""
        buffer = self.documents.at(run.path)
        if buffer and self.apps.streams(self.root_of(run.path)) and is_due(buffer, run):
            work = asyncio.create_task(stream(self.client, buffer, run))
            self._streaming.add(work)
            work.add_done_callback(self._streaming.discard)
