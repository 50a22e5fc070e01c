"""Roles: what a prompt holds, what it leaves out, and how plans are read."""

from __future__ import annotations

import attrs
import pytest

from whet_agent import roles
from whet_agent.roles import prompts
from whet_agent.roles.context import LABEL_MEANINGS, LABELS, Ancestor, Context, Failure, Strategy

UNIT = "import triton\n\n\n@triton.jit\ndef k(x): ...\n\n\ndef launch(x):\n    k[(1,)](x)\n"

ORIGINAL = Ancestor(
    candidate="original", label="original", strategy="", unit_text=UNIT, performance="1.00x"
)
BETTER = Ancestor(
    candidate="c7", label="memory", strategy="one pass", unit_text="def k(x): better",
    performance="1.31x [1.28, 1.34] measured on H200", reflection="wider loads paid",
)  # fmt: skip
FAILURE = Failure(
    label="launch", strategy="bigger blocks", unit_text="def k(x): broken", stage="tests",
    case="row 3: expected 1.0, got 2.0", reflection="the mask is off by one",
)  # fmt: skip
FULL = Context(
    goal="optimize", kernel="k", path="pkg/soft.py", unit_text=UNIT, launchers=("launch",),
    arch="gfx942", hardware="AMD Instinct MI300X", triton="3.9.0", parent=BETTER,
    ancestors=(ORIGINAL, BETTER), failed=("memory: cache hints: slower",),
    labels=("memory", "launch"), exemplars=("def exemplar(): pass",),
    knowledge="64 lanes a wavefront.", tests="def test_k(): ...", launches="k[(8,)](x)",
    profile="vgprs 12 (estimated)",
)  # fmt: skip


def asked(role: str, context: Context) -> str:
    system, user = roles.messages(role, context)  # type: ignore[arg-type]
    assert (system.role, user.role) == ("system", "user")
    assert "{{" not in system.content
    assert "{{" not in user.content
    return user.content


def test_the_subject_comes_first_and_is_the_same_for_every_role() -> None:
    failing = attrs.evolve(FULL, last_failure=FAILURE)
    texts = [asked("optimizer", FULL), asked("generator", FULL), asked("generator", failing),
             asked("reflector", failing), asked("reflector", FULL)]  # fmt: skip
    shared = texts[0].index("Plan the next attempts")
    assert all(text[:shared] == texts[0][:shared] for text in texts)
    for part in ("pkg/soft.py", "gfx942 (AMD Instinct MI300X)", "Triton is 3.9.0", UNIT.strip(),
                 "64 lanes", "def exemplar", "def test_k", "k[(8,)](x)", "vgprs 12",
                 "wider loads paid", "1.31x [1.28, 1.34]", "cache hints: slower"):  # fmt: skip
        assert part in texts[0][:shared], part
    assert texts[0].count(UNIT.strip()) == 1, "the original's code is shown once"


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({"knowledge": ""}, "Facts about the hardware"),
        ({"exemplars": ()}, "kernel of similar shape"),
        ({"failed": ()}, "do not repeat them"),
        ({"ancestors": (), "parent": None}, "Earlier correct versions"),
        ({"tests": ""}, "Tests that must pass"),
        ({"launches": ""}, "Launches recorded"),
        ({"profile": ""}, "original's cost"),
        ({"launchers": ()}, "It is launched through"),
        ({"arch": None}, "The target is"),
        ({"triton": None}, "Triton is"),
    ],
)
def test_what_is_switched_off_leaves_no_trace(change: dict[str, object], gone: str) -> None:
    assert gone in asked("generator", FULL)
    assert gone not in asked("generator", attrs.evolve(FULL, **change))  # type: ignore[arg-type]


def test_the_generator_carries_out_the_strategies_or_chooses_itself() -> None:
    planned = asked(
        "generator", attrs.evolve(FULL, strategies=(Strategy(label="fusion", text="merge"),))
    )
    assert "(fusion) merge" in planned
    assert "Choose at most three" not in planned
    free = asked("generator", FULL)
    assert f"- launch: {LABEL_MEANINGS['launch']}" in free
    assert "- fusion" not in free, "labels that the search masked are not offered"
    assert "version c7" in free


def test_a_debug_turn_shows_the_failing_case_alone() -> None:
    text = asked("generator", attrs.evolve(FULL, last_failure=FAILURE, problems=("no code",)))
    for part in ("row 3: expected 1.0, got 2.0", "def k(x): broken", "off by one", "- no code",
                 "Strategy (launch): what was wrong"):  # fmt: skip
        assert part in text
    assert "Choose at most three" not in text


def test_fix_asks_for_a_repair_not_for_speed() -> None:
    red = attrs.evolve(FAILURE, unit_text=UNIT, label="original", reflection="")
    text = asked("generator", attrs.evolve(FULL, goal="fix", last_failure=red, parent=None))
    assert "Speed is not the point" in text
    assert "row 3: expected 1.0, got 2.0" in text
    near = asked("generator", attrs.evolve(FULL, goal="fix", last_failure=red))
    assert "came nearest so far" in near


def test_the_reflector_explains_a_failure_or_a_result() -> None:
    failed = asked("reflector", attrs.evolve(FULL, last_failure=FAILURE))
    assert "This attempt did not pass" in failed
    assert "row 3" in failed
    passed = asked("reflector", FULL)
    assert "This attempt is correct" in passed
    assert "Version c7: 1.31x" in passed.split("This attempt is correct")[1]


def test_code_that_holds_fences_stays_inside_its_own() -> None:
    text = prompts.fenced('"""\n````\nx\n````\n"""')
    assert text.startswith("`````python\n")
    assert text.endswith("\n`````")
    assert prompts.fenced("  \n") == ""


def test_values_with_blank_lines_and_braces_are_not_templates() -> None:
    tricky = attrs.evolve(FULL, launches="{{unit}}\n\n{{launchers}}")
    text = roles.messages("generator", tricky)[1].content
    assert "{{unit}}\n\n{{launchers}}" in text


@pytest.mark.parametrize(
    ("reply", "expect"),
    [
        ("Strategy (memory): one pass.", [("memory", "one pass.")]),
        ("Bound by bytes.\n\n**Strategy (Memory):** one\n  pass\n\nNot this.", [("memory", "one pass")]),
        ("- Strategy (launch): a\n- Strategy (fusion): b", [("launch", "a"), ("fusion", "b")]),
        ("1. **Strategy (compute)**: a\n2. Strategy (compute): again", [("compute", "a")]),
        ("## Strategy (algorithm)\n\nThe text follows.", [("algorithm", "The text follows.")]),
        ("Strategy (magic): x\nStrategy (launch): y", [("launch", "y")]),
        ("Strategy (launch): y\n```python\ncode\n```", [("launch", "y")]),
        ("I cannot help.", []),
        ("", []),
        ("Strategy (memory):", []),
    ],
)  # fmt: skip
def test_parse_strategies(reply: str, expect: list[tuple[str, str]]) -> None:
    assert [(one.label, one.text) for one in roles.parse_strategies(reply)] == expect


def test_every_label_has_a_meaning() -> None:
    assert set(LABELS) == set(LABEL_MEANINGS)
