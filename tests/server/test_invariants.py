"""What must never be so, checked on the source and on the living process."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "server" / "whet_server"
KNOWS_LSP = {"server.py", "from_lsp.py", "to_lsp.py"}
FILES = sorted(SOURCE.glob("*.py"))


def imported(path: Path) -> set[str]:
    """Top packages that a file imports anywhere, late imports too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_lsp_types_stay_in_three_files(path):
    assert ("lsprotocol" in imported(path)) == (path.name in KNOWS_LSP)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_server_never_imports_the_users_packages(path):
    assert not imported(path) & {"torch", "triton", "pytest", "_pytest", "openai", "pydantic"}


async def test_a_server_that_only_looks_loads_nothing_heavy(start, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'p'\nversion = '1'\n")
    file = tmp_path / "kernels.py"
    file.write_text("import triton\n\n\n@triton.jit\ndef k(x):\n    pass\n")
    editor = await start(root=tmp_path)
    uri = file.as_uri()
    editor.open(uri, file.read_text())
    assert len(await editor.lenses(uri)) == 2
    assert "def k" in await editor.hover(uri, editor.position(editor.texts[uri], 35))
    maps = maps_of(editor.client._server.pid)
    assert "tree_sitter" in maps  # the question is not vacuous
    for heavy in ("torch", "triton", "pydantic", "numpy", "_sqlite3"):
        assert f"/{heavy}" not in maps, heavy
    assert await editor.stop() == 0


def maps_of(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()
