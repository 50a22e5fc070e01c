"""Kernels are found wherever and however they are written, on any text at all."""

import ast
import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet_agent.source.units import Document, parse_units

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import oracle  # importlib mode gives no path to siblings

CORPUS = sorted((HERE / "corpus").glob("*.py.txt"))
SPELLINGS = (HERE / "corpus" / "spellings.py.txt").read_text(encoding="utf-8")


def found(text: str) -> set[tuple[str, int, int]]:
    return {(k.name, k.line, k.end_line) for k in parse_units(text, "x.py")}


@pytest.mark.parametrize("path", CORPUS, ids=lambda p: p.stem)
def test_agrees_with_an_independent_walk_of_the_syntax_tree(path):
    text = path.read_text(encoding="utf-8")
    expected = oracle.kernels_of(text)
    assert expected
    assert found(text) == expected


def test_the_corpus_holds_exactly_the_kernels_it_means_to():
    everything = {n.name for n in ast.walk(ast.parse(SPELLINGS)) if isinstance(n, ast.FunctionDef)}
    hosts = {"applies", "with_options", "inner", "cached", "__init__", "outer", "not_a_kernel"}
    names = [k.name for k in parse_units(SPELLINGS)]
    assert set(names) == everything - hosts
    assert names.count("in_if") == 1, "the stand-in in the else arm is no kernel"
    others = (HERE / "corpus" / "others.py.txt").read_text(encoding="utf-8")
    assert [k.qualname for k in parse_units(others)] == ["contains.the_only_kernel"]


@pytest.mark.parametrize(
    ("qualname", "decorators"),
    [
        ("plain", ("triton.jit",)),
        ("called", ("triton.jit()",)),
        ("made_later", ("triton.jit",)),
        (
            "under_customs",
            ("libentry()", "triton_dejavu.autotune(configs=[], key=[])", "triton.jit"),
        ),
        ("Space.in_class", ("staticmethod", "triton.jit")),
        ("outer.in_function", ("triton.jit",)),
    ],
)
def test_qualified_names_and_decorators(qualname, decorators):
    (kernel,) = [k for k in parse_units(SPELLINGS) if k.qualname == qualname]
    assert kernel.decorators == decorators


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\f", "\ufeff# 🚀 é\n"])
def test_lines_are_as_ast_counts_them_whatever_the_file_looks_like(ending, start):
    text = (start + SPELLINGS.replace("\n\n\n", "\n\f\n\n")).replace("\n", ending)
    assert found(text) == oracle.kernels_of(text.removeprefix("\ufeff"))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("\0", []),
        ("\ud800", []),
        ("@triton.jit", []),
        ("@triton.jit\ndef ", []),
        ("@", []),
        ("import triton\n@triton.jit\ndef k(x):\n    x = tl.load(\n", ["k"]),
        ("import triton\n@triton.jit\ndef k(x):\n    tl.store(x, \n\ndef f(): k[1,](1)\n", ["k"]),
        ("def broken(:\n    pass\n\n@triton.jit\ndef k(x): pass\n", ["k"]),
        ("@triton.jit\ndef k(x): pass\n\nx = 'unclosed\n@triton.jit\ndef l(x): pass\n", ["k", "l"]),
        ("x = (((\n", []),
        ("class C:\n  @triton.jit\n  def k(x):\n    if x\n      pass\n", ["k"]),
        ("@triton.jit\nasync def k(x): pass\n", []),
        ("k = triton.jit(lambda x: x)\n", []),
        ("def k(x): pass\nk = triton.jit(k)\n", ["k"]),
        ("a = b\nb = a\n@a\ndef k(x): pass\n", []),
        ("def d(f): return d(f)\n@d\ndef k(x): pass\n", []),
        ("jit = jit\n@jit\ndef k(x): pass\n", []),
        ("from . import triton\n@triton.jit\ndef k(x): pass\n", ["k"]),
        ("import numba as triton\n@triton.jit\ndef k(x): pass\n", []),
        ("triton = None\n@triton.jit\ndef k(x): pass\n", ["k"]),
    ],
)
def test_broken_half_typed_and_odd_text(text, names):
    assert [k.name for k in parse_units(text)] == names


def test_nesting_deeper_than_the_stack_and_very_long_files():
    deep = "@triton.jit\ndef k(x):\n    return " + "(" * 20_000 + "x" + ")" * 20_000 + "\n"
    assert [k.name for k in parse_units(deep)] == ["k"]
    chain = "x = " + ".a" * 5_000 + "f()" * 5_000 + "\n@" + "a." * 5_000 + "jit\ndef k(): pass\n"
    assert parse_units(chain) == ()
    many = "@triton.jit\ndef k(x):\n" + "    x = x + 1\n" * 20_000
    assert parse_units(many)[0].end_line == 20_002


@settings(max_examples=150, deadline=None)
@given(st.text())
def test_never_raises_on_text(text):
    assert isinstance(parse_units(text), tuple)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_never_raises_on_damaged_source(data):
    start = data.draw(st.integers(0, len(SPELLINGS)))
    end = data.draw(st.integers(start, min(len(SPELLINGS), start + 400)))
    noise = data.draw(st.text(alphabet="()[]{}'\"\\\n\t:@#= \0\r\fa\u2028é🚀", max_size=12))
    parse_units(SPELLINGS[:start] + noise + SPELLINGS[end:])


PIECES = [
    "x", "\n", "    ", "#", "(", ")", "'", '"""', "@", "def f(x):\n    return k(x)\n", "import triton as t\n",
    "@triton.jit\ndef k(x):\n    return x\n\n", "class C:\n    def m(self): k[1,](1)\n", "C = 1\n", "\r\n", "é🚀",
    "from numba import jit\n", "d = triton.jit\n", "@d\ndef q(x): return k(x) + C\n", "del ", "return",
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 8))
def test_edits_in_place_give_what_a_fresh_reading_gives(seed, turns):
    chance = random.Random(seed)
    text = (
        "import triton\nC = 2\n\n@triton.jit\ndef k(x):\n    return x\n\ndef go(x):\n    k[1,](x)\n"
    )
    document = Document(text)
    for _ in range(turns):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice([0, 0, 0, 1, 5, 30]))
        new = chance.choice(PIECES)
        text = text[:start] + new + text[end:]
        document.edit(start, end, new)
        assert document.text == text
        assert document.kernels == parse_units(text)


def test_one_keystroke_reads_one_definition_again():
    pair = "@triton.jit\ndef k{0}(x):\n    return x + {0}\n\n\ndef f{0}(x):\n    k{0}[1,](x)\n\n\n"
    document = Document("import triton\n\n" + "".join(pair.format(n) for n in range(40)))
    before = {k.name: k for k in document.kernels}
    at = document.text.index("x + 20")
    document.edit(at, at, "1 + ")
    after = {k.name: k for k in document.kernels}
    changed = [name for name in after if after[name] is not before[name]]
    assert changed == ["k20"]
    assert before["k20"].digest != after["k20"].digest
