"""Open and see, against the real process: nothing is started, everything is shown."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from conftest import WHET
from lsprotocol import types as lsp

KERNELS = '''"""Größe 😀 und Maß."""
import triton
import triton.language as tl


@triton.jit
def scale_kernel(x_ptr, n, BLOCK: tl.constexpr):
    pass


x = "😀é"; y = 1
def scale(x):
    scale_kernel[(1,)](x, 1, BLOCK=1)
'''
TEST = "from kernels import scale\n\n\ndef test_scale():\n    scale(1)\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "a project ü"
    (root / "tests").mkdir(parents=True)
    (root / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "1"\n')
    (root / "kernels.py").write_text(KERNELS, "utf-8")
    (root / "tests" / "test_scale.py").write_text(TEST, "utf-8")
    return root


async def opened(start, root: Path, text: str = KERNELS, **options):
    editor = await start(root=root, **options)
    uri = (root / "kernels.py").as_uri()
    editor.open(uri, text)
    return editor, uri


async def test_a_kernel_is_shown_with_lens_actions_hover_and_status(start, project):
    editor, uri = await opened(start, project)
    assert editor.result.server_info.name == "whet"
    lenses = await editor.lenses(uri)
    assert [(lens.range.start.line, lens.command.title) for lens in lenses] == [
        (6, "Optimize for MI300X"),
        (6, "Run its tests"),
    ]
    hovered = await editor.hover(uri, lsp.Position(6, 8))
    assert "`tests/test_scale.py::test_scale`" in hovered
    assert "launched by `scale`" in hovered
    assert await editor.hints(uri) == []
    assert editor.statuses == [{"text": "Whet: 1 kernel, MI300X", "kernels": 1, "target": "local"}]
    assert await editor.stop() == 0


async def test_actions_are_offered_on_the_kernel_alone_and_by_kind(start, project):
    editor, uri = await opened(start, project)

    async def titles(line: int, only: list[str] | None = None) -> list[str]:
        return [action.title for action in await editor.actions(uri, line, only=only)]

    assert await titles(0) == []
    for line in (5, 6, 7):  # decorator, def and body
        assert await titles(line) == ["Optimize for MI300X", "Run its tests"]
    assert await titles(6, ["refactor"]) == ["Optimize for MI300X"]
    assert await titles(6, ["source.fixAll"]) == []
    (optimize,) = await editor.actions(uri, 6, only=["refactor.rewrite.whet.optimize"])
    assert optimize.kind == "refactor.rewrite.whet.optimize.gfx942"
    assert optimize.command.command == "whet.optimize"


async def test_an_action_that_waits_for_nothing_is_resolved_as_it_is(start, project):
    editor, uri = await opened(start, project)
    action = await editor.action(uri, 6, "Run its tests")  # VS Code asks about every action
    assert await editor.client.code_action_resolve_async(action) == action


async def test_the_chosen_target_names_the_action(start, project):
    editor, uri = await opened(start, project, options={"target": "gpu1", "arch": "gfx90a"})
    assert (await editor.actions(uri, 6))[0].title == "Optimize for MI250"
    assert editor.statuses[-1]["text"] == "Whet: 1 kernel, MI250 via gpu1"


async def test_lenses_follow_the_typing(start, project):
    editor, uri = await opened(start, project)
    editor.type(uri, 0, 0, "# one\n# two\n")
    assert {lens.range.start.line for lens in await editor.lenses(uri)} == {8}
    editor.replace(uri, "@triton.jit\n", "@triton.j\n")
    assert await editor.lenses(uri) == []
    editor.replace(
        uri, "@triton.j\n", "@triton.jit\ndef other_kernel(x):\n    pass\n\n\n@triton.jit\n"
    )
    assert len(await editor.lenses(uri)) == 4
    await editor.until(lambda: editor.statuses[-1]["kernels"] == 2)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
async def test_positions_are_the_clients(start, project, encoding, newline):
    """Typing and hovering behind characters of one to four bytes, on a line of their own."""
    text = KERNELS.replace("\n", newline)
    editor, uri = await opened(start, project, text, encodings=(encoding,))
    assert editor.encoding == encoding
    editor.replace(
        uri, "; y = 1", f"; scale_kernel{newline}@triton.jit{newline}def é😀_x(a): pass{newline}"
    )
    editor.replace(uri, "(a): pass", "(later): pass")
    shown = editor.texts[uri]
    where = shown.index("; scale_kernel") + 4
    assert "def scale_kernel" in await editor.hover(uri, editor.position(shown, where))
    assert await editor.hover(uri, editor.position(shown, where - 4)) == ""
    lines = [lens.range.start.line for lens in await editor.lenses(uri)]
    assert lines[0] == 6


async def test_form_feeds_and_line_separators_end_no_line(start, project):
    text = 's = "\u2028 \x85"\n\f\n' + KERNELS
    editor, uri = await opened(start, project, text)
    assert {lens.range.start.line for lens in await editor.lenses(uri)} == {8}


@pytest.mark.parametrize(
    ("command", "argument", "words"),
    [
        ("whet.optimize", {"v": 2}, "update"),
        ("whet.optimize", {"v": 1, "uri": "file:///nowhere.py", "kernel": "k"}, "Open the file"),
        ("whet.cancel", {"v": 1, "run": "none"}, "no run none"),
        ("whet.apply", {"v": 1, "run": "none"}, "no run none"),
        ("whet.runTests", {}, "version 1"),
    ],
)
async def test_what_cannot_be_done_is_one_sentence(start, project, command, argument, words):
    home = {"XDG_DATA_HOME": str(project.parent / "data"), "PATH": "/usr/bin:/bin"}
    editor, _ = await opened(start, project, environ=home)
    with pytest.raises(Exception, match=words) as refused:
        await editor.execute(command, argument)
    assert "Traceback" not in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_a_kernel_that_changed_since_the_click_is_refused(start, project):
    editor, uri = await opened(start, project)
    action = await editor.action(uri, 6, "Optimize")
    editor.replace(uri, "    pass", "    return")
    with pytest.raises(Exception, match="changed since this was offered: ask again"):
        await editor.do(action)


async def test_a_folder_nobody_trusts_runs_nothing(start, project):
    home = {"HOME": str(project.parent), "XDG_DATA_HOME": str(project.parent), "PATH": "/usr/bin"}
    editor, uri = await opened(start, project, environ=home, options={"trusted": False})
    for title in ("Optimize", "Run its tests"):
        action = await editor.action(uri, 6, title)
        with pytest.raises(Exception, match="not trusted"):
            await said(editor, action)


async def test_two_folders_and_files_outside_all_of_them(start, project, tmp_path):
    editor, uri = await opened(start, project)
    stray = tmp_path / "stray.py"
    editor.open(stray.as_uri(), KERNELS)
    assert len(await editor.lenses(stray.as_uri())) == 2
    assert editor.statuses[-1]["kernels"] == 2
    assert len(await editor.lenses(uri)) == 2


async def test_half_typed_text_is_no_error(start, project):
    editor, uri = await opened(start, project)
    for broken in (
        "@triton.jit\ndef ",
        "class (((",
        "'''",
        "\x00",
        "\ud800".encode("utf-8", "replace").decode(),
    ):
        editor.type(uri, 0, 0, broken)
        assert isinstance(await editor.lenses(uri), list)
    assert await editor.stop() == 0


def test_a_client_that_stops_reading_does_not_freeze_the_server(project):
    """With far more to say than the pipe holds, it still hears a signal and ends."""
    server = subprocess.Popen(WHET, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        uri = (project / "kernels.py").as_uri()
        item = {"uri": uri, "languageId": "python", "version": 1, "text": KERNELS * 20}
        send(server, "initialize", {"processId": None, "rootUri": None, "capabilities": {}}, id=0)
        send(server, "textDocument/didOpen", {"textDocument": item})
        for number in range(1, 200):
            send(server, "textDocument/codeLens", {"textDocument": {"uri": uri}}, id=number)
        server.stdin.flush()
        assert server.stdout.read(10) == b"Content-Le"  # it is past its imports
        server.terminate()
        server.wait(20)
    finally:
        server.kill()
        server.communicate()


async def said(editor, action) -> None:
    """Raises what the command answers, or what the run it began ends with."""
    run = await editor.do(action)
    raise RuntimeError((await editor.finished(run["run"]))["sentence"])


def send(server, method: str, params: dict, **fields) -> None:
    body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **fields}).encode()
    server.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
