"""Checks of arguments that a candidate no longer makes."""

from __future__ import annotations

import pytest

from whet_evaluator.worker.differential.refusals import dropped

ORIGINAL = """
def launch(x, n):
    assert x.is_contiguous(), "dense"
    if n > 4096:
        raise ValueError("too wide")
    return x
"""


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (ORIGINAL, []),
        (ORIGINAL.replace('"dense"', '"contiguous, please"'), []),
        (ORIGINAL.replace("    assert", "    y = 1\n    assert"), []),
        (ORIGINAL.replace('    assert x.is_contiguous(), "dense"\n', ""), ["assert x.is_contiguous()"]),
        (ORIGINAL.replace("n > 4096", "n > 8192"), ["raise ValueError if n > 4096"]),
        (ORIGINAL.replace("ValueError", "TypeError"), ["raise ValueError if n > 4096"]),
        ("def launch(x, n):\n    return x\n", ["assert x.is_contiguous()", "raise ValueError if n > 4096"]),
    ],
)  # fmt: skip
def test_what_is_gone_is_named(candidate: str, words: list[str]) -> None:
    found = dropped(ORIGINAL, candidate)
    assert len(found) == len(words)
    assert all(word in sentence for word, sentence in zip(words, found, strict=True))


def test_texts_that_do_not_parse_say_nothing() -> None:
    assert dropped("def f(:", ORIGINAL) == []
