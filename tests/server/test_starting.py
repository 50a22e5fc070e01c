"""What the server keeps between starts so that the next is quicker, and what if it cannot."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys

import pytest

from whet_server.starting import Compiled

ONE = ("answer = 42\n", "<one>", "exec")
START = """
from whet_server.starting import import_types_of_lsp
import_types_of_lsp()
import attrs
from lsprotocol import types
here = types.Position(line=1, character=2)
assert here == types.Position(1, 2) and here != types.Position(1, 3)
assert types.Range(here, here) == types.Range(here, here)
assert [field.name for field in attrs.fields(types.Hover)] == ["contents", "range"]
try:
    types.Position(line=-1, character=0)
except ValueError:
    print("started")
"""


def answer_of(code) -> int:
    names: dict[str, int] = {}
    exec(code, names)
    return names["answer"]


@pytest.fixture
def compiled_anew(monkeypatch) -> list[str]:
    """The texts that Python compiled."""
    seen, compile_ = [], builtins.compile
    monkeypatch.setattr(
        builtins, "compile", lambda text, *rest: seen.append(text) or compile_(text, *rest)
    )
    return seen


def test_what_was_compiled_is_not_compiled_again(tmp_path, compiled_anew):
    first = Compiled(tmp_path / "cache" / "kept")
    first.compile(*ONE)
    first.keep()
    again = Compiled(tmp_path / "cache" / "kept")
    assert answer_of(again.compile(*ONE)) == 42
    assert compiled_anew == [ONE[0]]
    assert answer_of(again.compile("answer = 43\n", *ONE[1:])) == 43
    assert len(compiled_anew) == 2


@pytest.mark.parametrize("harm", [lambda data: data[:-1], lambda data: b"", lambda data: data * 2])
def test_a_file_that_was_cut_short_or_changed_is_not_read(tmp_path, compiled_anew, harm):
    path = tmp_path / "kept"
    first = Compiled(path)
    first.compile(*ONE)
    first.keep()
    path.write_bytes(harm(path.read_bytes()))
    again = Compiled(path)
    assert answer_of(again.compile(*ONE)) == 42
    assert len(compiled_anew) == 2
    again.keep()
    Compiled(path).compile(*ONE)
    assert len(compiled_anew) == 2


def test_a_place_that_cannot_be_written_is_no_fault(tmp_path):
    (tmp_path / "file").write_text("in the way")
    kept = Compiled(tmp_path / "file" / "kept")
    kept.compile(*ONE)
    kept.keep()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_types_made_from_what_was_kept_are_the_same(tmp_path):
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    files = []
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "-c", START], env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert ran.stdout == "started\n", ran.stderr
        files.append({path: path.stat().st_mtime_ns for path in tmp_path.rglob("lsp-*")})
    assert len(files[0]) == 1
    assert files[0] == files[1]
