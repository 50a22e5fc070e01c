"""Replies of models: correct merges, or sentences that say what was wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet_agent.candidates.reply import ParsedReply, parse_reply
from whet_agent.candidates.screen import Screened, screen
from whet_agent.source.units import unit_of

ORIGINAL = '''"""Module."""
import torch
import triton
import triton.language as tl

BLOCK = 64

# The kernel.
@triton.jit
def k(x_ptr, n):
    tl.store(x_ptr, 1)


class Op(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        k[(1,)](x, 1)
        return x

    @staticmethod
    def backward(ctx, g):
        return g


def launch(x):
    return Op.apply(x)


if __name__ == "__main__":
    launch(1)
'''
UNIT = unit_of(ORIGINAL, "a.py", "k")
NEW_K = "@triton.jit\ndef k(x_ptr, n):\n    tl.store(x_ptr, 2)\n"
WITH_NEW_K = ORIGINAL.replace("tl.store(x_ptr, 1)", "tl.store(x_ptr, 2)")
NEW_LAUNCH = "def launch(x):\n    return Op.apply(x + 1)\n"


def fence(code: str, word: str = "python") -> str:
    return f"```{word}\n{code}```\n"


def parsed(reply: str, finish_reason: str = "stop") -> ParsedReply:
    return parse_reply(reply, finish_reason, ORIGINAL, UNIT)


def check(reply: str, *texts: str) -> None:
    answer = parsed(reply)
    assert answer.problems == ()
    assert [c.text_of_whole_file for c in answer.candidates] == list(texts)
    for text in texts:
        assert isinstance(screen(UNIT, text, ()), Screened), screen(UNIT, text, ())


def test_strategy_label_and_words():
    answer = parsed(f"Sure!\n\nStrategy (Memory): store `2`.\n\n{fence(NEW_K)}\nDone.")
    (candidate,) = answer.candidates
    assert (candidate.label, candidate.strategy) == ("memory", "store `2`.")
    assert candidate.text_of_whole_file == WITH_NEW_K


@pytest.mark.parametrize(
    ("heading", "label", "strategy"),
    [
        ("**Strategy (compute):** fewer passes", "compute", "fewer passes"),
        ("### Strategy (launch): bigger blocks", "launch", "bigger blocks"),
        ("1. Strategy [fusion] \u2014 fuse", "fusion", "fuse"),
        ("strategy (algorithm) : one pass", "algorithm", "one pass"),
        ("Strategy: no label", "", "no label"),
        ("My plan is simple.", "", ""),
    ],
)
def test_headings(heading, label, strategy):
    (candidate,) = parsed(f"{heading}\n{fence(NEW_K)}").candidates
    assert (candidate.label, candidate.strategy) == (label, strategy)


@pytest.mark.parametrize(
    "reply",
    [
        fence(NEW_K),
        fence(NEW_K, "py"),
        fence(NEW_K, ""),
        f"~~~~python\n{NEW_K}~~~~\n",
        fence(NEW_K).replace("\n", "\r\n"),
        "1. so:\n" + "".join(f"   {line}\n" for line in fence(NEW_K).splitlines()),
        NEW_K,
        fence(ORIGINAL.replace("tl.store(x_ptr, 1)", "tl.store(x_ptr, 2)")),
        fence("import torch\nimport triton\nimport triton.language as tl\nBLOCK = 64\n" + NEW_K),
        fence(NEW_K + "\nlaunch(torch.ones(3))\nprint('ok')\n"),
        fence(NEW_K) + "Run it:\n" + fence("pip install x", "bash") + fence('{"a": 1}', "json"),
        fence("from __future__ import annotations\n" + NEW_K),
    ],
)
def test_one_kernel_however_it_is_sent(reply):
    check(reply, WITH_NEW_K)


def test_several_strategies_in_one_reply():
    third = NEW_K.replace("2", "3")
    reply = f"Strategy (memory): a\n{fence(NEW_K)}\nStrategy (compute): b\n{fence(third)}"
    check(reply, WITH_NEW_K, WITH_NEW_K.replace("x_ptr, 2", "x_ptr, 3"))
    assert [c.label for c in parsed(reply).candidates] == ["memory", "compute"]
    check(
        fence(NEW_K) + "or\n" + fence(third), WITH_NEW_K, WITH_NEW_K.replace("x_ptr, 2", "x_ptr, 3")
    )


def test_blocks_under_one_heading_that_complete_each_other():
    both = WITH_NEW_K.replace("Op.apply(x)", "Op.apply(x + 1)")
    check(f"Strategy (memory): a\n{fence(NEW_K)}and the launcher\n{fence(NEW_LAUNCH)}", both)
    separate = f"Strategy (a): a\n{fence(NEW_K)}Strategy (b): b\n{fence(NEW_LAUNCH)}"
    check(separate, WITH_NEW_K, ORIGINAL.replace("Op.apply(x)", "Op.apply(x + 1)"))


METHOD = "@staticmethod\ndef forward(ctx, x):\n    k[(2,)](x, 1)\n    return x\n"
WITH_METHOD = ORIGINAL.replace("k[(1,)]", "k[(2,)]")


@pytest.mark.parametrize(
    "code",
    [
        METHOD,
        "class Op(torch.autograd.Function):\n" + "".join(f"    {x}\n" for x in METHOD.splitlines()),
        "class Op(torch.autograd.Function):\n" + "".join(f"  {x}\n" for x in METHOD.splitlines()),
        ORIGINAL[ORIGINAL.index("class") : ORIGINAL.index("def launch")].replace(
            "k[(1,)]", "k[(2,)]"
        ),
    ],
)
def test_methods_alone_or_in_their_class(code):
    answer = parsed(fence(code))
    assert answer.problems == ()
    (candidate,) = answer.candidates
    assert (
        candidate.text_of_whole_file.replace("      k", "        k").split() == WITH_METHOD.split()
    )
    assert isinstance(screen(UNIT, candidate.text_of_whole_file, ()), Screened)


def test_new_helpers_constants_and_imports_find_their_places():
    code = "import math\nWIDE = 128\n\n@triton.jit\ndef twice(x):\n    return x\n\n" + NEW_K
    expected = WITH_NEW_K.replace(
        "import triton.language as tl\n", "import triton.language as tl\nimport math\n"
    )
    expected = expected.replace(
        "# The kernel.\n",
        "WIDE = 128\n\n\n@triton.jit\ndef twice(x):\n    return x\n\n\n# The kernel.\n",
    )
    check(fence(code), expected)


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_line_endings_bom_and_non_ascii_are_kept(ending):
    original = "\ufeff" + ("# é 🚀\n" + ORIGINAL + "\f\n# 核\n").replace("\n", ending)
    unit = unit_of(original, "a.py", "k")
    answer = parse_reply(fence("import math\n" + NEW_K), "stop", original, unit)
    (candidate,) = answer.candidates
    text = candidate.text_of_whole_file
    assert text.startswith("\ufeff# é 🚀")
    assert text.count("\n") == text.count(ending)
    plain = text.replace(ending, "\n").removeprefix("\ufeff")
    assert (
        plain == "# é 🚀\n" + WITH_NEW_K.replace("as tl\n", "as tl\nimport math\n") + "\f\n# 核\n"
    )


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("", "empty"),
        ("I'm sorry, I can't help with that.", "no fenced Python block; it says: I'm sorry"),
        ("Use more warps.\n", "no fenced Python block"),
        (fence('{"code": 1}', "json"), "no fenced Python block"),
        (fence("@triton.jit\ndef k_fast(x):\n    pass\n"), "defines k_fast, but the unit has: k"),
        (fence("@triton.jit\ndef kk(x):\n    pass\n"), "Did you mean k?"),
        (fence("x = 1\n"), "must redefine one of: k"),
        (fence("@triton.jit\ndef k(x_ptr, n)\n    pass\n"), "line 2 of the block"),
        (fence(NEW_K + "BLOCK = 128\n"), "changes `BLOCK`"),
        (
            fence(NEW_K + "class Op:\n    def backward(ctx, g):\n        return 2 * g\n"),
            "changes Op.backward",
        ),
        (fence(NEW_K + "class Op:\n    def more(ctx, g):\n        return 2 * g\n"), "adds Op.more"),
        (f"```python\n{NEW_K}", "cut off"),
        ("```python\n", "cut off"),
    ],
)
def test_what_cannot_be_used(reply, words):
    answer = parsed(reply)
    assert answer.candidates == ()
    (problem,) = answer.problems
    assert words in problem


def test_truncation_keeps_the_blocks_that_are_whole():
    reply = f"Strategy (a): a\n{fence(NEW_K)}Strategy (b): b\n```python\n@triton.jit\ndef k("
    answer = parsed(reply, "length")
    assert [c.text_of_whole_file for c in answer.candidates] == [WITH_NEW_K]
    assert len(answer.problems) == 1
    assert "cut off" in answer.problems[0]
    assert "cut off" in parsed("Let me think", "length").problems[0]


def test_one_bad_block_beside_a_good_one():
    bad = fence("def nothing(): pass\n")
    answer = parsed(f"Strategy (a): a\n{bad}Strategy (b): b\n{fence(NEW_K)}")
    assert [c.label for c in answer.candidates] == ["b"]
    assert answer.problems[0].startswith("Strategy (a): ")


PARTS = st.sampled_from(
    [fence(NEW_K), "```python\n", "```\n", "~~~", NEW_K, NEW_LAUNCH, METHOD, "Strategy (x): y\n", "def ", "class Op:\n",
     "\0", "\r", "\ufeff", "é🚀", "\ud800", "    ", "@", "import a\n", "x = 1\n", '"""', ORIGINAL]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(PARTS | st.text(max_size=20), max_size=8), st.sampled_from(["stop", "length", ""]))
def test_never_raises_and_always_answers(parts, finish_reason):
    answer = parsed("".join(parts), finish_reason)
    assert answer.candidates or answer.problems
