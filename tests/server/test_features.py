"""Features as tables: a kernel's state in, what the editor shows out."""

from __future__ import annotations

import pytest
import server_values as v

from whet_server import features, hover
from whet_server.comparing import Verified
from whet_server.views import Command, KernelState, RunOffer, TargetView

RED = v.outcome_of("failed", detail="E   AssertionError: not close\nE   boom")
BUSY = v.run(state="running", summary=v.summary(state="running", reason=None))


def check_actions(state: KernelState, expected: list[tuple[str, str, str]], **where) -> None:
    """Each action as (title, kind, command or `edit`); and the lenses are its twins."""
    found = features.actions(state, v.where(**where))
    assert [(a.title, a.kind, does(a)) for a in found] == expected
    lenses = features.lenses(state, v.where(**where))
    titles = [title for title, _, _ in expected if title != "Optimize for..."]
    assert [lens.title for lens in lenses] == titles
    assert {lens.line for lens in lenses} == {state.kernel.line}
    assert len([a for a in found if a.title != "Optimize for..."]) <= 3


def does(action) -> str:
    match action.does:
        case Command(name=name):
            return name
        case RunOffer():
            return "edit"


OPTIMIZE = (
    "Optimize for MI300X", "refactor.rewrite.whet.optimize.gfx942", "whet.optimize"
)  # fmt: skip
FIX = ("Fix failing test", "quickfix.whet.fixTest", "whet.fix")
TESTS = ("Run its tests", "whet.runTests", "whet.runTests")
VERIFY = ("Verify my changes", "whet.verify", "whet.verify")
CANCEL = ("Cancel Whet run", "whet.cancel", "whet.cancel")
UNTIMED = ("Accept (correct, untimed)", "refactor.rewrite.whet.accept", "edit")
FASTER = ("Accept 1.83x", "refactor.rewrite.whet.accept", "edit")
DIFF = ("Show diff", "whet.showDiff", "whet.showDiff")
CHOOSE = ("Optimize for...", "whet.chooseTarget", "whet.chooseTarget")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param(v.state(), [OPTIMIZE, TESTS], id="a kernel"),
        pytest.param(v.state(red=(RED,)), [FIX, TESTS], id="a red test hides optimize"),
        pytest.param(v.state(edited=True), [OPTIMIZE, VERIFY, TESTS], id="an edit of one's own"),
        pytest.param(
            v.state(v.offering(), edited=True), [UNTIMED, OPTIMIZE, VERIFY], id="edit and offer"
        ),
        pytest.param(v.state(BUSY), [CANCEL], id="a run at work"),
        pytest.param(v.state(v.run(state="queued", summary=None)), [CANCEL], id="a queued run"),
        pytest.param(
            v.state(v.offering(v.speedup(), state="running")), [CANCEL, FASTER], id="early offer"
        ),
        pytest.param(v.state(v.offering()), [UNTIMED, OPTIMIZE, TESTS], id="no clock"),
        pytest.param(
            v.state(v.offering(v.speedup())), [FASTER, OPTIMIZE, TESTS], id="confirmed speedup"
        ),
        pytest.param(v.state(v.offering(rejected=True)), [OPTIMIZE, TESTS], id="rejected is gone"),
        pytest.param(v.state(v.offering(fit="after")), [OPTIMIZE, TESTS], id="accepted already"),
        pytest.param(
            v.state(v.offering(fit="stale")), [OPTIMIZE, TESTS], id="kernel changed since"
        ),
        pytest.param(v.state(v.run()), [OPTIMIZE, TESTS], id="a run without a best"),
        pytest.param(
            v.state(v.run(id="r2"), v.offering(v.speedup())),
            [FASTER, OPTIMIZE, TESTS],
            id="a later run found nothing",
        ),
    ],
)
def test_actions(state, expected):
    check_actions(state, expected)


def test_an_editor_that_draws_diffs_is_offered_one():
    check_actions(v.state(v.offering()), [UNTIMED, DIFF, OPTIMIZE], can_compare=True)


def test_choosing_needs_several_targets():
    target = TargetView(name="gpu1", arch="gfx90a", others=("local",))
    optimize = ("Optimize for MI250", "refactor.rewrite.whet.optimize.gfx90a", "whet.optimize")
    check_actions(v.state(), [optimize, TESTS, CHOOSE], target=target)


@pytest.mark.parametrize(
    ("target", "title", "kind"),
    [
        (TargetView(arch="gfx950"), "Optimize for MI350", ".gfx950"),
        (TargetView(arch="sm_90"), "Optimize for H100/H200", ".sm_90"),
        (TargetView(arch="sm_80"), "Optimize for A100", ".sm_80"),
        (TargetView(arch="gfx1100"), "Optimize for gfx1100", ".gfx1100"),
        (TargetView(), "Optimize for this GPU", ""),
        (TargetView(name="gpu1"), "Optimize for gpu1", ""),
    ],
)
def test_optimize_names_what_is_known_of_the_target(target, title, kind):
    expected = (title, f"refactor.rewrite.whet.optimize{kind}", "whet.optimize")
    check_actions(v.state(), [expected, TESTS], target=target)


def test_a_command_carries_everything_it_needs():
    (action, _) = features.actions(v.state(), v.where())
    assert action.does.argument == {
        "v": 1, "uri": v.URI, "version": 7, "kernel": "scale_kernel", "digest": "now",
        "goal": "optimize", "target": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("only", "kind", "wanted"),
    [
        (None, "whet.cancel", True),
        (("",), "whet.cancel", True),
        (("refactor",), OPTIMIZE[1], True),
        (("refactor.rewrite.whet.optimize",), OPTIMIZE[1], True),
        (("refactor.rew",), OPTIMIZE[1], False),
        (("quickfix",), OPTIMIZE[1], False),
        (("quickfix",), FIX[1], True),
        (("source.fixAll",), FIX[1], False),
        (("source", "source.fixAll"), OPTIMIZE[1], False),
    ],
)
def test_kinds_are_dotted_prefixes(only, kind, wanted):
    assert features.wants(only, kind) is wanted


def check_hint(state: KernelState, label: str | None, *parts: str) -> None:
    hint = features.hint(state, now=v.NOW)
    assert (hint and hint.label) == label
    for part in parts:
        assert part in hint.tooltip


def test_a_hint_is_a_confirmed_measurement_and_nothing_else():
    faster = v.speedup()
    check_hint(v.state(), None)
    check_hint(v.state(BUSY), None)
    check_hint(v.state(v.offering()), None)
    check_hint(v.state(v.offering(fit="after")), None)
    check_hint(
        v.state(v.offering(faster, fit="after")),
        "1.83x", "1.79 to 1.88", "AMD Instinct MI300X", "2 hours ago",
    )  # fmt: skip
    check_hint(v.state(v.offering(faster)), "1.83x on offer", "Not yet accepted")
    check_hint(v.state(v.offering(faster, fit="stale")), "1.83x (stale)", "changed since")
    check_hint(v.state(v.offering(faster, rejected=True)), None)


def check_findings(state: KernelState, *messages: str) -> None:
    found = features.findings(state)
    assert [f.message for f in found] == list(messages)
    assert all(f.span == state.kernel.name_span for f in found)


def test_red_tests_stand_at_the_kernels_name():
    check_findings(v.state())
    check_findings(
        v.state(red=(RED,)),
        "tests/test_scale.py::test_scale failed: AssertionError: not close",
    )
    check_findings(
        v.state(red=(v.outcome_of("error"),), red_stale=True),
        "tests/test_scale.py::test_scale broke (the kernel changed since; run its tests again)",
    )


def test_only_the_codes_own_failures_are_red():
    fine = [v.outcome_of(o) for o in ("passed", "skipped", "xfailed", "xpassed", "not run")]
    limit = v.outcome_of("failed", uncovered="bfloat16 is wrong on the interpreter")
    broken = v.outcome_of("error")
    assert features.red_tests([*fine, limit, broken, RED]) == (broken, RED)


def check_hover(state: KernelState, *parts: str, absent: tuple[str, ...] = ()) -> str:
    text = hover.hover(state, now=v.NOW)
    for part in parts:
        assert part in text
    for part in absent:
        assert part not in text
    return text


def test_hover_tells_what_the_source_says():
    check_hover(
        v.state(), "def scale_kernel(x_ptr, n, BLOCK: tl.constexpr)", "launched by `scale`",
        absent=("Tests", "test"),
    )  # fmt: skip
    check_hover(v.state(tests=()), "No test found", "`[tool.whet]`")
    check_hover(v.state(tests=("tests/t.py::test_a",)), "without running", "`tests/t.py::test_a`")
    many = tuple(f"tests/t.py::test_{n}" for n in range(8))
    check_hover(v.state(tests=many), "test_4", "and 3 more", absent=("test_5",))


def test_hover_tells_the_last_result_with_its_kind_of_evidence():
    costs = {"cost_before": v.cost(512_000, vgprs=10), "cost_after": v.cost(256_128, vgprs=23)}
    measured = v.summary(best=v.best(v.speedup(), **costs))
    check_hover(
        v.state(v.run(fit="after", summary=measured)),
        "This text: **1.83x (interval 1.79 to 1.88), measured on AMD Instinct MI300X",
        "2 hours ago", "Checked: 1 test passed; isolation partial.", "How: One pass.",
        "Counted on the interpreter: 512,064 to 256,192 bytes moved.",
        "Estimated from code compiled for gfx942: 10 to 23 VGPRs.",
    )  # fmt: skip
    check_hover(v.state(v.run(fit="stale", summary=measured)), "Stale, the kernel changed since")
    check_hover(v.state(v.run()), "Last run, 1 minute ago: Keep yours: nothing was better.")
    check_hover(v.state(BUSY), "Whet is at work: 4/20 tests.")


def test_hover_tells_how_an_edit_of_ones_own_was_judged():
    found = Verified(
        against="HEAD", sentence="local: Correct, untimed.", notes=("Mind this.",), report="#",
        at=v.NOW - 60,
    )  # fmt: skip
    run = v.run(goal="verify", summary=None, verified=found)
    check_hover(
        v.state(run), "Verified against HEAD, 1 minute ago: local: Correct, untimed.", "Mind this."
    )
    check_hover(v.state(v.run(goal="verify", summary=None, verified=found, fit="stale")), "(stale")


@pytest.mark.parametrize("fit", ["before", "after", "stale"])
def test_without_a_clock_nothing_is_called_faster(fit):
    costs = {"cost_before": v.cost(512), "cost_after": v.cost(256)}
    state = v.state(v.run(fit=fit, summary=v.summary(best=v.best(None, **costs))))
    text = check_hover(state, "*correct, untimed*: 1 test passed")
    shown = [text, *(a.title for a in features.actions(state, v.where()))]
    for said in shown:
        for word in ("faster", "speedup", "improve", "measured", "1.83x"):
            assert word not in said.lower()


def test_status_names_kernels_and_target():
    assert features.status_text(3, TargetView(arch="gfx942")) == "Whet: 3 kernels, MI300X"
    remote = TargetView(name="gpu1", arch="gfx942")
    assert features.status_text(1, remote) == "Whet: 1 kernel, MI300X via gpu1"
    assert features.status_text(0, TargetView()) == "Whet: 0 kernels"
