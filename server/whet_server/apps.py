"""The façade of `whet_agent`, loaded when somebody first asks for work.

Opening files costs none of it: settings, store and model client are imported by the
first command and not before.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whet_server.runs import RefusedError

if TYPE_CHECKING:
    from whet_agent.app import App


class Apps:
    """One façade for each project root. `editor` are the settings the client sent."""

    def __init__(self, editor: dict[str, Any]) -> None:
        self._editor = editor
        self._apps: dict[Path, App] = {}
        self._loading = asyncio.Lock()

    async def of(self, root: Path) -> App:
        """Raises `RefusedError` when the settings cannot be used at all."""
        async with self._loading:
            if root not in self._apps:
                module = await asyncio.to_thread(importlib.import_module, "whet_agent.app")
                with refusing():
                    self._apps[root] = module.App.load(root, editor=self._editor)
        return self._apps[root]

    async def reload(self, editor: dict[str, Any]) -> None:
        """Takes new settings: the façades are made anew when they are next needed."""
        self._editor = editor
        await self.close()

    async def close(self) -> None:
        apps = tuple(self._apps.values())
        self._apps.clear()
        await asyncio.gather(*(app.close() for app in apps), return_exceptions=True)


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turns the façade's sentence for the user into ours."""
    from whet_agent.app import UserError

    try:
        yield
    except UserError as error:
        raise RefusedError(str(error)) from None
