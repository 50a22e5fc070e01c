"""The store: every event of every run, one row each, in one SQLite file.

`append` returns after the commit, so what a user has been shown is what a killed run
resumes from. One thread owns the connection; SQLite's own locks keep several processes
apart. WAL where the file system is local; the rollback journal on network file systems,
where WAL's shared memory does not work and home directories of clusters live.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeGuard, TypeVar

from whet_agent.events import SCHEMA, Created, Event, Judged
from whet_agent.store.codec import dump_event, parse_event
from whet_agent.store.faults import JournalError, LeaseHeldError, cure
from whet_agent.store.lease import HEARTBEAT_S, Holder, is_gone, this_process
from whet_agent.store.mounts import load_mounts, network_file_system

__all__ = ["Journal", "JournalError", "LeaseHeldError"]

LAYOUT = 1
BUSY_TIMEOUT_S = 30.0

T = TypeVar("T")


class Journal:
    """An open store. `notice` is a sentence for the user about it, or empty."""

    def __init__(self, path: Path, *, mounts: str | None = None) -> None:
        """Opens or creates the store at `path`. Raises `JournalError`.

        `mounts` is the table of mounts in the form of `/proc/mounts`, this machine's if None.
        """
        self.path = path
        self._mounts = load_mounts() if mounts is None else mounts
        self.notice = ""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="whet-journal")
        try:
            self._connection = self._on_thread(self._open)
        except JournalError:
            self._thread.shutdown()
            raise

    async def append(self, run: str, *events: Event) -> None:
        """Stores events in this order, all or none. Returns after the commit."""
        rows = [(type(event).__name__, dump_event(event), event.at) for event in events]
        keys = {index: event.key for index, event in enumerate(events) if _is_new(event)}
        await self._wait(lambda: self._insert(run, rows, keys))

    async def judged(self, key: str) -> tuple[str, Judged] | None:
        """The run and the event of an earlier judgement that depends on the same things."""
        return await self._wait(lambda: self._select_judged(key))

    async def events(self, run: str) -> tuple[Event, ...]:
        """The run's story so far; empty if there is no such run."""
        return await self._wait(lambda: self._select(run))

    def load_events(self, run: str) -> tuple[Event, ...]:
        """As `events`, blocking, for callers without a loop."""
        return self._on_thread(lambda: self._select(run))

    def load_runs(self) -> tuple[str, ...]:
        """All runs, the one begun last first."""
        return self._on_thread(self._select_runs)

    def load_begun(self) -> tuple[tuple[str, Created], ...]:
        """As `load_runs`, each with its first event: what was asked for, and where."""
        return self._on_thread(self._select_begun)

    @asynccontextmanager
    async def lease(self, run: str) -> AsyncIterator[None]:
        """Holds the run while the context lasts. Raises `LeaseHeldError` if another does."""
        holder = this_process()
        await self._wait(lambda: self._take(run, holder))
        beat = asyncio.create_task(self._keep(run))
        try:
            yield
        finally:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)
            await self._wait(lambda: self._release(run, holder))

    def load_holder(self, run: str) -> Holder | None:
        """Who works on the run now, None if nobody does."""
        return self._on_thread(lambda: self._living_holder(run, time.time()))

    def close(self) -> None:
        """Ends the thread after what is queued. May be called twice."""
        try:
            self._thread.submit(self._connection.close)
        except RuntimeError:
            return  # closed before
        self._thread.shutdown(wait=True)

    # ---- from here on: the writer thread -------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=True
        )
        network = network_file_system(self.path.parent.resolve(), self._mounts)
        mode = "DELETE" if network else "WAL"
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.execute("PRAGMA synchronous=FULL")
        if network:
            self.notice = (
                f"The run store {self.path} lies on a network file system ({network}): it is "
                "kept in a slower, safe mode; `store` in the settings may name a local folder."
            )
        _migrate(connection, self.path)
        return connection

    def _insert(self, run: str, rows: list[tuple[str, str, float]], keys: dict[int, str]) -> None:
        with _transaction(self._connection) as db:
            self._check_lease(run)
            (last,) = db.execute("SELECT max(seq) FROM event WHERE run = ?", (run,)).fetchone()
            first = 0 if last is None else last + 1
            db.executemany(
                "INSERT INTO event (run, seq, schema, kind, json, at) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (run, first + index, SCHEMA, kind, text, at)
                    for index, (kind, text, at) in enumerate(rows)
                ],
            )
            db.executemany(
                "INSERT OR REPLACE INTO verdict (key, run, seq) VALUES (?, ?, ?)",
                [(key, run, first + index) for index, key in keys.items()],
            )

    def _check_lease(self, run: str) -> None:
        """A process that slept too long may have lost its run to another host."""
        row = self._connection.execute(
            "SELECT host, pid FROM lease WHERE run = ?", (run,)
        ).fetchone()
        me = this_process()
        if row is not None and tuple(row) != (me.host, me.pid):
            raise LeaseHeldError(
                f"Run {run} was taken over by process {row[1]} on {row[0]}: follow it there."
            )

    def _select(self, run: str) -> tuple[Event, ...]:
        rows = self._connection.execute(
            "SELECT schema, json FROM event WHERE run = ? ORDER BY seq", (run,)
        ).fetchall()
        return tuple(_parse(run, schema, text) for schema, text in rows)

    def _select_judged(self, key: str) -> tuple[str, Judged] | None:
        row = self._connection.execute(
            "SELECT run, schema, json FROM verdict JOIN event USING (run, seq) WHERE key = ?",
            (key,),
        ).fetchone()
        if row is None:
            return None
        try:
            event = _parse(*row)
        except JournalError:
            return None  # damaged, or a newer Whet's: judging again is the cure
        return (row[0], event) if isinstance(event, Judged) else None

    def _select_runs(self) -> tuple[str, ...]:
        rows = self._connection.execute(
            "SELECT run FROM event WHERE seq = 0 ORDER BY at DESC, rowid DESC"
        )
        return tuple(run for (run,) in rows)

    def _select_begun(self) -> tuple[tuple[str, Created], ...]:
        rows = self._connection.execute(
            "SELECT run, schema, json FROM event WHERE seq = 0 ORDER BY at DESC, rowid DESC"
        ).fetchall()
        begun = ((run, _parse(run, schema, text)) for run, schema, text in rows)
        return tuple((run, event) for run, event in begun if isinstance(event, Created))

    def _take(self, run: str, holder: Holder) -> None:
        now = time.time()
        with _transaction(self._connection) as db:
            other = self._living_holder(run, now)
            if other is not None:
                raise LeaseHeldError(
                    f"Run {run} is in work by process {other.pid} on {other.host}: wait for it, "
                    "or cancel it there."
                )
            db.execute(
                "INSERT OR REPLACE INTO lease (run, host, pid, started, heartbeat) "
                "VALUES (?, ?, ?, ?, ?)",
                (run, holder.host, holder.pid, holder.started, now),
            )

    def _living_holder(self, run: str, now: float) -> Holder | None:
        row = self._connection.execute(
            "SELECT host, pid, started, heartbeat FROM lease WHERE run = ?", (run,)
        ).fetchone()
        if row is None:
            return None
        host, pid, started, heartbeat = row
        holder = Holder(host=host, pid=pid, started=started)
        return None if is_gone(holder, heartbeat, now) else holder

    def _beat(self, run: str) -> None:
        self._connection.execute("UPDATE lease SET heartbeat = ? WHERE run = ?", (time.time(), run))

    def _release(self, run: str, holder: Holder) -> None:
        self._connection.execute(
            "DELETE FROM lease WHERE run = ? AND host = ? AND pid = ?",
            (run, holder.host, holder.pid),
        )

    # ---- between the loop and the thread ---------------------------------------------------

    async def _keep(self, run: str) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self._wait(lambda: self._beat(run))

    async def _wait(self, work: Callable[[], T]) -> T:
        # Shielded: a cancelled caller must not leave a half-known commit behind.
        return await asyncio.shield(
            asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)
        )

    def _on_thread(self, work: Callable[[], T]) -> T:
        return self._thread.submit(self._guarded, work).result()

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            raise JournalError(cure(self.path, error, BUSY_TIMEOUT_S)) from error


class _transaction:  # noqa: N801 - used as a statement
    """`BEGIN IMMEDIATE`, so that reading and writing see one state; rolled back on error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:  # a full disk has rolled back already
            self._connection.execute("ROLLBACK")


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (layout,) = connection.execute("PRAGMA user_version").fetchone()
    if layout > LAYOUT:
        raise JournalError(
            f"The run store {path} was written by a newer Whet: update this one, or name "
            "another `store` in the settings."
        )
    with _transaction(connection) as db:
        db.execute(
            "CREATE TABLE IF NOT EXISTS event (run TEXT NOT NULL, seq INTEGER NOT NULL, "
            "schema INTEGER NOT NULL, kind TEXT NOT NULL, json TEXT NOT NULL, at REAL NOT NULL, "
            "PRIMARY KEY (run, seq))"
        )
        db.execute(
            "CREATE TABLE IF NOT EXISTS lease (run TEXT PRIMARY KEY, host TEXT NOT NULL, "
            "pid INTEGER NOT NULL, started TEXT NOT NULL, heartbeat REAL NOT NULL)"
        )
        db.execute(
            "CREATE TABLE IF NOT EXISTS verdict (key TEXT PRIMARY KEY, run TEXT NOT NULL, "
            "seq INTEGER NOT NULL)"
        )
        db.execute(f"PRAGMA user_version = {LAYOUT}")


def _is_new(event: Event) -> TypeGuard[Judged]:
    """Whether the event holds a verdict that a later run may use: not one used again itself."""
    return isinstance(event, Judged) and bool(event.key) and event.known_from is None


def _parse(run: str, schema: int, text: str) -> Event:
    if schema > SCHEMA:
        raise JournalError(
            f"Run {run} was written by a newer Whet (events of schema {schema}, this one reads "
            f"up to {SCHEMA}): update Whet to go on with it."
        )
    try:
        return parse_event(text)
    except ValueError as error:
        raise JournalError(
            f"Run {run} holds a damaged event ({error}): begin a new run."
        ) from error
