"""What a person does in an editor, end to end: real editor, server, evaluator and tests.

Only the model is scripted, behind a real HTTP server. There is no GPU: results are
*correct, untimed*.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e import processes
from tests.e2e.conftest import StartEditor
from tests.e2e.editor import Editor, wait_until
from tests.e2e.openai_server import Held, ScriptedOpenAI
from tests.e2e.project import Project, make_project, recorded, with_definitions

pytestmark = pytest.mark.e2e

OPTIMIZE = "Optimize for MI300X"
UNTIMED = "correct, untimed"
QUICK = ["tests/test_softmax.py::test_softmax_row_slice"]
RUN_S = 180
"""For a whole run: handshake, baseline and one candidate on two busy cores."""


def open_at_kernel(editor: Editor, project: Project) -> None:
    editor.open(project.file)
    editor.go_to(line_of(project.text, f"def {project.name}_kernel"))


def line_of(text: str, start: str) -> int:
    """Counted from 1."""
    return next(n for n, line in enumerate(text.splitlines(), 1) if line.startswith(start))


def wait_until_offered(editor: Editor, action: str) -> None:
    """A menu can stay empty for a moment: an editor asks again when more has started."""
    wait_until(f"action {action!r}", lambda: editor.offers_action(action), timeout_s=60)


def start_run(editor: Editor, project: Project, action: str) -> None:
    editor.choose_action(action)
    kernel = f"{project.name}_kernel"
    wait_until("the run is shown", lambda: editor.progress().startswith(kernel), timeout_s=20)


def wait_for_question(editor: Editor, model: ScriptedOpenAI) -> None:
    """Until the run asks the model; fails at once when the run ends before that."""

    def asked() -> bool:
        if not model.requests and not editor.progress():
            raise AssertionError(f"the run ended before it asked the model: {editor.messages()}")
        return bool(model.requests)

    wait_until("the model is asked", asked, timeout_s=RUN_S)


def wait_for_offer(editor: Editor) -> None:
    wait_until("a result is offered", lambda: editor.offer() == UNTIMED, timeout_s=RUN_S)


def test_optimize_is_accepted_and_undone_by_one_undo(
    start_editor: StartEditor, tmp_path: Path
) -> None:
    project = make_project(tmp_path, "softmax", tests=QUICK)
    original, reply = project.text, recorded("softmax")
    held = Held(reply=reply)
    with ScriptedOpenAI([held]) as model:
        editor = start_editor(project, model)
        open_at_kernel(editor, project)
        wait_until_offered(editor, "Run its tests")
        start_run(editor, project, OPTIMIZE)
        wait_for_question(editor, model)
        assert editor.offer() == ""
        held.release.set()
        wait_for_offer(editor)
        assert editor.text() == original  # an offer changes nothing by itself
        theirs, mine = editor.show_diff()
        assert "numerator = tl.exp" in theirs
        assert "running_max = tl.full" in mine
        editor.accept()
        accepted = with_definitions(original, reply)
        wait_until("the edit", lambda: editor.text() == accepted, timeout_s=20)
        wait_until("the offer goes", lambda: editor.offer() == "", timeout_s=20)
        editor.undo()
        assert editor.text() == original


def test_fix_turns_a_red_test_green(start_editor: StartEditor, tmp_path: Path) -> None:
    project = make_project(tmp_path, "masked_sum")
    original, reply = project.text, recorded("masked_sum")
    with ScriptedOpenAI([reply]) as model:
        editor = start_editor(project, model)
        open_at_kernel(editor, project)
        assert editor.problems() == []
        editor.choose_action("Run its tests")
        wait_until("a red test is shown", editor.problems, timeout_s=RUN_S)
        start_run(editor, project, "Fix failing test")
        wait_for_offer(editor)
        editor.choose_action(f"Accept ({UNTIMED})")  # the twin of accepting by command
        fixed = with_definitions(original, reply)
        wait_until("the edit", lambda: editor.text() == fixed, timeout_s=20)
        editor.choose_action("Run its tests")
        wait_until("every test is green", lambda: not editor.problems(), timeout_s=RUN_S)


def test_typing_during_a_run_is_kept_by_accept_and_undo(
    start_editor: StartEditor, tmp_path: Path
) -> None:
    project = make_project(tmp_path, "softmax", tests=QUICK)
    original, reply = project.text, recorded("softmax")
    held = Held(reply=reply)
    with ScriptedOpenAI([held]) as model:
        editor = start_editor(project, model)
        open_at_kernel(editor, project)
        start_run(editor, project, OPTIMIZE)
        wait_for_question(editor, model)
        editor.go_to(line_of(original, "import torch"))
        editor.type_line_above("# Typed während the run, above the kernel: 🙂")
        typed = original.replace(
            "import torch\n", "# Typed während the run, above the kernel: 🙂\nimport torch\n", 1
        )
        assert editor.text() == typed
        held.release.set()
        wait_for_offer(editor)
        assert editor.text() == typed
        editor.accept()
        accepted = with_definitions(typed, reply)
        wait_until("the edit", lambda: editor.text() == accepted, timeout_s=20)
        editor.undo()
        assert editor.text() == typed


def test_a_kernel_changed_by_hand_is_not_overwritten(
    start_editor: StartEditor, tmp_path: Path
) -> None:
    project = make_project(tmp_path, "softmax", tests=QUICK)
    original = project.text
    held = Held(reply=recorded("softmax"))
    with ScriptedOpenAI([held]) as model:
        editor = start_editor(project, model)
        open_at_kernel(editor, project)
        start_run(editor, project, OPTIMIZE)
        wait_for_question(editor, model)
        comment = "    # Maximum of the row, for numerical stability.\n"
        editor.go_to(line_of(original, comment.rstrip()))
        editor.type_line_above("    # Typed inside the kernel.")
        typed = original.replace(comment, f"    # Typed inside the kernel.\n{comment}", 1)
        held.release.set()
        wait_for_offer(editor)
        editor.accept()
        wait_until("the refusal is said", lambda: "changed" in editor.messages(), timeout_s=20)
        assert editor.text() == typed


def test_cancel_ends_a_run_at_once(start_editor: StartEditor, tmp_path: Path) -> None:
    project = make_project(tmp_path, "softmax", tests=QUICK)
    original = project.text
    with ScriptedOpenAI([Held(reply=recorded("softmax"))]) as model:
        editor = start_editor(project, model)
        open_at_kernel(editor, project)
        start_run(editor, project, OPTIMIZE)
        wait_for_question(editor, model)
        cancelled = time.monotonic()
        editor.cancel()
        wait_until("the run is gone", lambda: editor.progress() == "", timeout_s=20)
        assert (
            time.monotonic() - cancelled < 2
        )  # as a person feels it, the driver's clicks included
        assert editor.text() == original
        wait_until_offered(editor, OPTIMIZE)


def test_nothing_is_left_three_seconds_after_the_editor_is_killed(
    start_editor: StartEditor, tmp_path: Path
) -> None:
    project = make_project(tmp_path, "softmax", tests=QUICK)
    with ScriptedOpenAI([Held(reply=recorded("softmax"))]) as model:
        editor = start_editor(project, model)
        open_at_kernel(editor, project)
        start_run(editor, project, OPTIMIZE)
        wait_for_question(editor, model)
        before = processes.marked(project.mark)
        started = editor.kill()
        assert any("serve" in command for command in started.values()), started
        assert not processes.survivors({*started, *before}, within_s=3)
