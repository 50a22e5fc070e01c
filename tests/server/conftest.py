"""What all server tests share: helpers beside this file, and a real server to talk to."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from lsp_editor import Editor

WHET = [str(Path(sys.executable).parent / "whet"), "serve"]


def load_e2e(name: str) -> ModuleType:
    """A helper of the end-to-end tests, which are no package."""
    found = importlib.util.spec_from_file_location(
        f"e2e_{name}", HERE.parent / "e2e" / f"{name}.py"
    )
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Any]:
    """Starts editors with their servers; ends what the test did not end."""
    editors: list[Editor] = []

    async def begin(**options: Any) -> Editor:
        editor = Editor()
        editors.append(editor)
        await editor.start(WHET, **options)
        return editor

    yield begin
    for editor in editors:
        server = editor.client._server
        if server is not None and server.returncode is None:
            server.kill()
            await server.wait()
