"""One-shot retrieval: which exemplar's *code* is most like the code at hand. Pure.

Likeness is the cosine between weighted n-grams of normalised tokens. Names that people
choose become one token, names of Triton's language stay, so what counts is what a kernel
does: its loops, reductions, masks and dots, not what its variables are called.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Mapping
from importlib import resources

_LONGEST = 3
_TOKEN = re.compile(
    r"(?P<skip>\"\"\".*?\"\"\"|'''.*?'''|#[^\n]*)"
    r"|(?P<text>\"[^\"\n]*\"|'[^'\n]*')"
    r"|(?P<word>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)"
    r"|(?P<number>\d[\w.]*)"
    r"|(?P<sign>//|\*\*|[-+*/%@&|^~<>=!]=?|[()\[\]{},:.])",
    re.DOTALL,
)
_KEYWORDS = frozenset(
    {"for", "if", "else", "while", "range", "in", "not", "and", "or", "return", "def", "min", "max"}
)
_SILENT = frozenset("(),:.")
_SAME = {"rsqrt": "sqrt", "exp2": "exp", "log2": "log", "maximum": "max", "minimum": "min"}
"""Functions that do the same kind of work."""


def nearest(
    code: str, *, count: int = 1, corpus: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The `count` most similar texts of the corpus, best first; ties go by name.

    `corpus` maps names to texts; None is the exemplars that ship with Whet.
    """
    return tuple(text for _, _, text in _ranked(code, corpus)[:count])


def similarities(code: str, *, corpus: Mapping[str, str] | None = None) -> dict[str, float]:
    """Likeness from 0 to 1 by name, best first."""
    return {name: score for score, name, _ in _ranked(code, corpus)}


@functools.cache
def load_exemplars() -> Mapping[str, str]:
    """The shipped kernels by name, read as text: nothing of them is imported here."""
    folder = resources.files("whet_agent.exemplars")
    return {
        entry.name.removesuffix(".py"): entry.read_text("utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".py") and not entry.name.startswith("_")
    }


def normalised_tokens(code: str) -> list[str]:
    """Tokens without comments, docstrings, layout and people's names. Never raises."""
    tokens: list[str] = []
    for match in _TOKEN.finditer(code):
        if match["word"]:
            tokens.append(_word(match["word"]))
        elif match["number"]:
            tokens.append("0")
        elif match["sign"] and match["sign"] not in _SILENT:
            tokens.append(match["sign"])
    return tokens


def _word(word: str) -> str:
    head, _, last = word.rpartition(".")
    if head.split(".")[0] in {"tl", "triton", "language"}:
        return f"tl.{_SAME.get(last, last)}"
    return word if word in _KEYWORDS else "name"


def _ranked(code: str, corpus: Mapping[str, str] | None) -> list[tuple[float, str, str]]:
    texts = load_exemplars() if corpus is None else corpus
    counted = {name: _ngrams(text) for name, text in texts.items()}
    asked = _ngrams(code)
    spread = Counter(gram for grams in [*counted.values(), asked] for gram in grams)
    weights = {gram: math.log((len(counted) + 2) / n) for gram, n in spread.items()}
    scored = [(_cosine(asked, counted[name], weights), name, texts[name]) for name in texts]
    return sorted(scored, key=lambda item: (-item[0], item[1]))


def _ngrams(code: str) -> Counter[tuple[str, ...]]:
    """Runs of one to three tokens, with how often each occurs."""
    tokens = normalised_tokens(code)
    return Counter(
        tuple(tokens[start : start + size])
        for size in range(1, _LONGEST + 1)
        for start in range(len(tokens) - size + 1)
    )


def _cosine(
    one: Counter[tuple[str, ...]],
    other: Counter[tuple[str, ...]],
    weights: Mapping[tuple[str, ...], float],
) -> float:
    def value(grams: Counter[tuple[str, ...]], gram: tuple[str, ...]) -> float:
        return math.log1p(grams[gram]) * weights[gram]

    shared = math.fsum(value(one, gram) * value(other, gram) for gram in sorted(one.keys() & other))
    sizes = [math.sqrt(math.fsum(value(g, gram) ** 2 for gram in sorted(g))) for g in (one, other)]
    return shared / (sizes[0] * sizes[1]) if all(sizes) else 0.0
