"""The façade of `whet_agent`, loaded when somebody first asks for work.

Opening files costs none of it: settings, store and model client are imported by the
first command and not before.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whet_server.views import TargetView

if TYPE_CHECKING:
    from whet_agent.app import App
    from whet_agent.settings.loading import Settings

log = logging.getLogger(__name__)

DEFAULT_ARCH = "gfx942"
"""What code is compiled for where no device and no setting names an architecture."""

GPU_DEVICES = ("/dev/kfd", "/dev/nvidiactl", "/dev/dxg")


class Apps:
    """One façade for each project root. `editor` are the settings the client sent, `tell`
    says a sentence to the person."""

    def __init__(self, editor: dict[str, Any], tell: Callable[[str], None]) -> None:
        self._editor = editor
        self._tell = tell
        self._told: set[str] = set()
        self._apps: dict[Path, App] = {}
        self._loading = asyncio.Lock()

    async def of(self, root: Path) -> App:
        async with self._loading:
            if root not in self._apps:
                module = await asyncio.to_thread(importlib.import_module, "whet_agent.app")
                self._apps[root] = self._load(module.App, root)
        return self._apps[root]

    def target(self, root: Path | None, chosen: str | None) -> TargetView:
        """Where a run would go. Before the settings are loaded, what the editor sent of them."""
        app = self._apps.get(root) if root is not None else None
        if app is not None:
            return _of_settings(app.loaded.settings, chosen)
        name = chosen or self._editor.get("target") or "local"
        return TargetView(name=name, arch=self._editor.get("arch") or _default_arch(name))

    def streams(self, root: Path) -> bool:
        """Whether improvements go in unasked, by the settings if they are loaded."""
        app = self._apps.get(root)
        return (app.loaded.settings.edits if app else self._editor.get("edits")) == "stream"

    async def reload(self, editor: dict[str, Any]) -> None:
        """Takes new settings: the façades are made anew when they are next needed."""
        self._editor = editor
        await self.close()

    async def close(self) -> None:
        apps = tuple(self._apps.values())
        self._apps.clear()
        await asyncio.gather(*(app.close() for app in apps), return_exceptions=True)

    def _load(self, facade: type[App], root: Path) -> App:
        app = facade.load(root, editor=self._editor)
        if app.loaded.settings.arch is None and _default_arch("local") is not None:
            # Nothing names an architecture and no device can: facts are of the default's.
            app = facade.load(root, editor={"arch": DEFAULT_ARCH, **self._editor})
        self._say_what_does_not_count(app)
        return app

    def _say_what_does_not_count(self, app: App) -> None:
        """Once each. What no run begins with is said when one is wanted; so is a missing trust."""
        stopped = {one.sentence for one in app.loaded.unusable}
        for sentence in (*app.loaded.problems, *app.loaded.refused):
            log.warning(sentence)
            if app.loaded.trusted and sentence not in stopped | self._told:
                self._told.add(sentence)
                self._tell(sentence)


def _of_settings(settings: Settings, chosen: str | None) -> TargetView:
    name = chosen or settings.target
    target = settings.targets.get(name)
    arch = (target.arch if target else None) or settings.arch
    others = tuple(other for other in settings.targets if other != name)
    return TargetView(name=name, arch=arch or _default_arch(name), others=others)


def _default_arch(target: str) -> str | None:
    """A device names its own; only a machine without one is told what to compile for."""
    has_device = target != "local" or any(Path(device).exists() for device in GPU_DEVICES)
    return None if has_device else DEFAULT_ARCH
