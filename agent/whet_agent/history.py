"""What the store knows of runs: those of this process, of others, and of earlier days."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from whet_agent.events import Event
from whet_agent.project import UserError
from whet_agent.report import RunSummary, summarise
from whet_agent.store.journal import Journal, JournalError
from whet_agent.store.lease import Holder

T = TypeVar("T")


class History:
    """The runs in the store at `path`. Its methods raise `UserError` for a store that fails."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._journal: Journal | None = None

    @property
    def journal(self) -> Journal:
        """Opened when first needed. Raises `UserError`."""
        if self._journal is None:
            try:
                self._journal = Journal(self._path)
            except JournalError as error:
                raise UserError(str(error)) from None
        return self._journal

    def runs(self, *, root: Path | None = None) -> list[RunSummary]:
        """All runs in the store, newest first, those of `root` only if given."""
        begun = self._guarded(Journal.load_begun)
        wanted = [run for run, one in begun if root is None or Path(one.task.root) == root]
        return [summarise(self._load_events(run)) for run in wanted]

    def find_run(self, prefix: str) -> str:
        """The run whose id is, or uniquely begins with, `prefix`. Raises `UserError`."""
        known = self._guarded(Journal.load_runs)
        found = [prefix] if prefix in known else [run for run in known if run.startswith(prefix)]
        if len(found) != 1:
            what = "Several runs begin with" if found else "There is no run"
            raise UserError(f"{what} {prefix}: `whet runs` lists them.")
        return found[0]

    def events(self, run: str) -> tuple[Event, ...]:
        """Every event of a run, in order."""
        return self._load_events(self.find_run(run))

    def summary(self, run: str) -> RunSummary:
        return summarise(self.events(run))

    def holder(self, run: str) -> Holder | None:
        """Which process works on the run now, None if none does."""
        return self._guarded(lambda journal: journal.load_holder(run))

    def close(self) -> None:
        """What is asked for later opens the store again."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _load_events(self, run: str) -> tuple[Event, ...]:
        return self._guarded(lambda journal: journal.load_events(run))

    def _guarded(self, read: Callable[[Journal], T]) -> T:
        try:
            return read(self.journal)
        except JournalError as error:
            raise UserError(str(error)) from None
