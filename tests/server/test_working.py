"""Start, watch, accept, undo, against the real process, a real worker and a model over HTTP."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from conftest import load_e2e
from lsprotocol import types as lsp

from whet_server import parent

projects = load_e2e("project")
models = load_e2e("openai_server")

QUICK = {"sweep": False, "iterations": 1}
ONE_TEST = {"tests": ["tests/test_softmax.py::test_softmax_row_slice"]}
"""Enough where the run itself is not what is tested."""


class World:
    """A project with one example, a scripted model, and an editor on its kernel file."""

    def __init__(self, editor, project, model) -> None:
        self.editor = editor
        self.project = project
        self.model = model
        self.uri = project.file.as_uri()

    async def begin(self, title: str) -> str:
        return (await self.editor.do(await self.action(title)))["run"]

    async def action(self, title: str):
        return await self.editor.action(self.uri, await self.line(), title)

    async def line(self) -> int:
        return (await self.editor.lenses(self.uri))[0].range.start.line

    async def titles(self) -> list[str]:
        return [lens.command.title for lens in await self.editor.lenses(self.uri)]

    @property
    def text(self) -> str:
        return self.editor.texts[self.uri]

    async def apply(self, run: str) -> dict:
        return await self.editor.execute("whet.apply", {"v": 1, "run": run})


@pytest.fixture
async def world(start, tmp_path):
    """Makes a world for an example and the model's replies."""
    open_models = []

    async def make(name: str, replies: list, *, options: dict | None = None, **others) -> World:
        project = projects.make_project(tmp_path, name)
        model = models.ScriptedOpenAI(replies)
        open_models.append(model)
        model.__enter__()
        settings = {
            "trusted": True, "model": model.model, "baseUrl": model.base_url, "apiKey": "k",
            "python": sys.executable, **QUICK, **(options or {}),
        }  # fmt: skip
        editor = await start(root=project.root, environ=project.environ, options=settings, **others)
        editor.open(project.file.as_uri(), project.text)
        return World(editor, project, model)

    yield make
    for model in open_models:
        model.__exit__()


async def test_optimize_watch_accept_undo(world):
    held = models.Held(reply=projects.recorded("softmax"))
    w = await world("softmax", [held], options=ONE_TEST)
    editor, original = w.editor, w.text
    run = await w.begin("Optimize for MI300X")

    # Watch: the kernel is busy, a second run on it is refused, typing elsewhere goes on.
    await editor.until(lambda: w.model.requests, "the model was asked")
    assert await w.titles() == ["Cancel Whet run"]
    with pytest.raises(Exception, match=r"already works on softmax_kernel .*cancel it"):
        await editor.execute("whet.optimize", {"v": 1, "uri": w.uri, "kernel": "softmax_kernel"})
    editor.type(w.uri, 0, 0, "# typed during the run\n")
    typed = w.text
    held.release.set()
    done = await editor.finished(run)
    assert (done["kernel"], done["goal"], done["uri"]) == ("softmax_kernel", "optimize", w.uri)
    assert done["best"] == {
        "candidate": done["best"]["candidate"], "speedup": None, "label": "correct, untimed"
    }  # fmt: skip
    assert w.text == typed
    assert w.project.file.read_text("utf-8") == original
    (reports,) = editor.client.progress_reports.values()
    await editor.until(lambda: reports[-1].kind == "end")
    assert reports[0].cancellable
    assert reports[-1].message == done["sentence"]
    assert {"lens", "hint"} <= set(editor.refreshes)

    # Compare and accept, the first time with a key pressed in between.
    expected = "# typed during the run\n" + projects.with_definitions(
        original, projects.recorded("softmax")
    )
    content = await editor.ask("whet/content", {"run": run})
    assert content == {"text": expected, "original": original}
    assert await w.titles() == ["Accept (correct, untimed)", "Show diff", "Optimize for MI300X"]
    editor.manner = "neovim"
    editor.before_edit = lambda: editor.type(w.uri, 0, 0, "#")
    answer = await w.apply(run)
    assert answer["applied"] is False
    assert "did not apply the edit" in answer["reason"]
    assert w.text == "#" + typed
    editor.before_edit = lambda: None
    editor.manner = "refusing"
    assert (await w.apply(run))["applied"] is False
    editor.type(w.uri, 0, 1, "")
    editor.manner = "honest"
    assert await w.apply(run) == {"applied": True, "reason": None}
    assert w.text == expected
    (change,) = editor.edits[-1].edit.document_changes
    assert change.text_document.version is not None
    assert editor.edits[-1].label == "Whet: softmax_kernel"

    # The result belongs to the text: accepted it is there, undone it is on offer again.
    assert await w.titles() == ["Optimize for MI300X", "Run its tests"]
    hovered = await editor.hover(w.uri, (await editor.lenses(w.uri))[0].range.start)
    assert "This text: *correct, untimed*" in hovered
    assert "Counted on the interpreter" in hovered
    assert await editor.hints(w.uri) == []
    editor.type(w.uri, 0, len(w.text), typed)
    accept = await w.action("Accept")
    resolved = await editor.client.code_action_resolve_async(accept)
    await editor.until(lambda: editor.last(run)["best"], "undone, it is an offer again")
    assert editor.apply_edit(resolved.edit)
    assert w.text == expected
    await editor.until(lambda: editor.last(run)["best"] is None, "taken, it is none")

    # A unit that a person touched is theirs.
    editor.type(w.uri, 0, len(w.text), typed.replace("n_cols,", "n_cols,  # mine", 1))
    mine = w.text
    answer = await w.apply(run)
    assert answer["applied"] is False
    assert "never overwritten" in answer["reason"]
    assert w.text == mine
    assert await editor.stop() == 0


async def test_an_edit_of_ones_own_is_verified_against_git(world):
    w = await world("softmax", ["never asked"], options=ONE_TEST)
    editor, original = w.editor, w.text
    git = ("git", "-c", "user.name=n", "-c", "user.email=n@localhost")
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "one")):
        subprocess.run([*git, *command], cwd=w.project.root, check=True)  # noqa: ASYNC221 - quick
    titles = [action.title for action in await editor.actions(w.uri, await w.line())]
    assert titles == ["Optimize for MI300X", "Run its tests"], "nothing was edited yet"
    edited = projects.with_definitions(original, projects.recorded("softmax"))
    editor.type(w.uri, 0, len(original), edited)
    run = await w.begin("Verify my changes")
    assert await w.titles() == ["Cancel Whet run"]
    done = await editor.finished(run)
    assert (done["goal"], done["reason"], done["best"]) == ("verify", "verified", None)
    assert "Correct, untimed: it moves" in done["sentence"]
    (reports,) = editor.client.progress_reports.values()
    await editor.until(lambda: reports[-1].kind == "end")
    # Stages run side by side, and what is shown is the one that was heard of last.
    shown = " ".join(one.message or "" for one in reports)
    assert any(stage in shown for stage in ("load", "tests", "differ")), shown
    page = (await editor.ask("whet/content", {"run": run}))["text"]
    assert page.startswith("# kernels/softmax.py::softmax_kernel against HEAD")
    assert "```diff" in page
    hovered = await editor.hover(w.uri, (await editor.lenses(w.uri))[0].range.start)
    assert "Verified against HEAD, " in hovered
    assert done["sentence"] in hovered
    assert w.text == edited
    assert w.project.file.read_text("utf-8") == original
    assert not w.model.requests


async def test_red_tests_are_shown_fixed_and_cleared(world):
    w = await world("masked_sum", [projects.recorded("masked_sum")])
    editor = w.editor
    assert await w.titles() == ["Optimize for MI300X", "Run its tests"]
    tests = await w.begin("Run its tests")
    done = await editor.finished(tests)
    assert "failed" in done["sentence"]
    found = await editor.until(lambda: editor.client.diagnostics.get(w.uri))
    line = await w.line()
    assert {(d.source, d.code, d.range.start.line) for d in found} == {("whet", "red-test", line)}
    assert all(d.message.startswith("tests/test_masked_sum.py::") for d in found)
    assert await w.titles() == ["Fix failing test", "Run its tests"]
    fix = await w.action("Fix failing test")
    assert fix.kind == "quickfix.whet.fixTest"
    run = (await editor.do(fix))["run"]
    done = await editor.finished(run)
    assert done["reason"] == "fixed", done["sentence"]
    assert await w.apply(run) == {"applied": True, "reason": None}
    await editor.until(lambda: not editor.client.diagnostics[w.uri])
    assert await w.titles() == ["Optimize for MI300X", "Run its tests"]
    assert (await editor.finished(await w.begin("Run its tests")))["sentence"].endswith("passed.")


async def test_a_run_is_cancelled_from_the_progress_and_leaves_nothing(world):
    held = models.Held(reply="never")
    w = await world("softmax", [held], options=ONE_TEST)
    run = await w.begin("Optimize for MI300X")
    await w.editor.until(lambda: w.model.requests, "the model was asked")
    started = parent.descendants(w.editor.client._server.pid)
    assert started
    (token,) = w.editor.client.progress_reports
    w.editor.client.window_work_done_progress_cancel(lsp.WorkDoneProgressCancelParams(token))
    done = await w.editor.finished(run)
    assert (done["reason"], done["best"]) == ("cancelled", None)
    assert await w.titles() == ["Optimize for MI300X", "Run its tests"]
    await gone(started)


async def test_nothing_is_left_of_a_run_when_the_editor_just_goes(world):
    held = models.Held(reply="never")
    w = await world("softmax", [held], options=ONE_TEST)
    await w.begin("Optimize for MI300X")
    await w.editor.until(lambda: w.model.requests, "the model was asked")
    server = w.editor.client._server
    started = (server.pid, *parent.descendants(server.pid))
    assert len(started) > 1
    server._transport.get_pipe_transport(0).close()  # what is left of a killed editor
    began = asyncio.get_running_loop().time()
    await gone(started)
    assert asyncio.get_running_loop().time() - began < 3


async def test_streamed_improvements_go_in_by_themselves_once(world):
    reply = projects.recorded("softmax")
    w = await world("softmax", [reply], options={"edits": "stream", **ONE_TEST}, whet=False)
    original = w.text
    expected = projects.with_definitions(original, reply)
    assert w.editor.runs == []
    await w.begin("Optimize for MI300X")
    await w.editor.until(lambda: w.text == expected)
    (reports,) = w.editor.client.progress_reports.values()
    await w.editor.until(lambda: reports[-1].kind == "end")
    w.editor.type(w.uri, 0, len(w.text), original)  # undo is final
    assert (await w.titles())[0] == "Accept (correct, untimed)"
    assert w.text == original
    assert w.editor.runs == []  # it did not declare that it knows Whet
    assert len(w.editor.edits) == 1


async def gone(pids) -> None:
    """Polls: the processes are nobody's here to wait for."""
    async with asyncio.timeout(20):
        while any(parent.is_alive(pid) for pid in pids):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
