"""A run's best against buffers that went on meanwhile."""

from __future__ import annotations

from pathlib import Path

import server_values as v

from whet_agent.source.units import unit_digest
from whet_server.edits import Change, Refusal, plan
from whet_server.runs import Run

OLD = """# für später 😀
import triton


@triton.jit
def scale_kernel(x_ptr, n):
    slow = 1
    other = 2


def scale(x):
    scale_kernel[(1,)](x, 1)
"""
NEW = OLD.replace("slow = 1", "quick = 1")
BETTER = OLD.replace("slow = 1", "quickest = 1")


def run(text: str = NEW, **changes) -> Run:
    best = v.best(text=text, original_text=OLD, **changes)
    return Run(
        path=Path("/project/kernels.py"), kernel="scale_kernel",
        digest=unit_digest(OLD, "scale_kernel"), goal="optimize", target="local",
        summary=v.summary(best=best),
    )  # fmt: skip


def check(current: str, run: Run, expected: str | None, *words: str, n_edits: int = 1) -> None:
    """`expected` None: refused, and the sentence holds `words`."""
    match plan(current, run):
        case Change(edits=edits, text=text):
            assert text == expected
            assert len(edits) == n_edits
            assert applied(current, edits) == expected
        case Refusal(sentence=sentence):
            assert expected is None, sentence
            for word in words:
                assert word in sentence


def applied(text: str, edits) -> str:
    lines = text.split("\n")
    for edit in reversed(edits):
        start, end = edit.span.start, edit.span.end
        head = "\n".join([*lines[: start.line], lines[start.line][: start.column]])
        tail = "\n".join([lines[end.line][end.column :], *lines[end.line + 1 :]])
        lines = (head + edit.text + tail).split("\n")
    return "\n".join(lines)


def test_the_untouched_buffer_gets_one_small_edit():
    check(OLD, run(), NEW)
    change = plan(OLD, run())
    assert sum(len(edit.text) for edit in change.edits) < 12


def test_edits_elsewhere_in_the_file_stay():
    check("# typed above\n" + OLD + "# below\n", run(), "# typed above\n" + NEW + "# below\n")


def test_a_unit_that_was_touched_is_never_overwritten():
    touched = OLD.replace("other = 2", "other = 3")
    check(touched, run(), None, "changed since", "never overwritten", "new run")


def test_a_unit_that_is_gone_is_refused():
    check("import triton\n", run(), None, "changed since")


def test_accepting_twice_is_refused_with_the_reason():
    check(NEW, run(), None, "already is")


def test_a_better_best_replaces_the_one_accepted_before():
    going = run(candidate="c1")
    check(OLD, going, NEW)
    going.see(v.summary(best=v.best(text=BETTER, original_text=OLD, candidate="c2")))
    assert going.fit(unit_digest(NEW, "scale_kernel")) == "before"
    check(NEW, going, BETTER)
    check(OLD, going, BETTER)


def test_a_run_without_a_best_says_what_to_wait_for():
    empty = run()
    empty.summary = v.summary()
    check(OLD, empty, None, "nothing to accept yet")


def test_crlf_and_form_feeds_survive():
    old, new = OLD.replace("\n", "\r\n"), NEW.replace("\n", "\r\n")
    going = run()
    going.see(v.summary(best=v.best(text=new, original_text=old)))
    current = "\f# page\r\n" + old
    match plan(current, going):
        case Change(text=text):
            assert text == "\f# page\r\n" + new
        case Refusal(sentence=sentence):
            raise AssertionError(sentence)
