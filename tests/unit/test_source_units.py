"""Units: who launches a kernel, what its digest covers, and putting candidates back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet_agent.source.edits import apply_edits, minimal_edits, split_lines
from whet_agent.source.units import (
    Conflict,
    Spliced,
    parse_units,
    splice,
    unit_digest,
    unit_members,
    unit_of,
)

HEAD = "import functools\nimport torch\nimport triton\nimport triton.language as tl\n\n"
K = "@triton.jit\ndef k(x, BLOCK: tl.constexpr):\n    pass\n\n\n"


def check(code: str, launchers: list[str], direct: list[str] | None = None) -> None:
    (kernel,) = [k for k in parse_units(HEAD + K + code) if k.name == "k"]
    assert list(kernel.launchers) == launchers
    assert list(kernel.direct) == (launchers if direct is None else direct)


@pytest.mark.parametrize(
    "body",
    [
        "k[grid](x, 4)",
        "k[(n,)](x, BLOCK=4)",
        "k[lambda m: (1,)](x)",
        "a = k; a[grid](x)",
        "a = k[grid]\n    a(x)",
        "k.run(x, grid=grid)",
        "k.warmup(x, grid=(1,))",
        "functools.partial(k[grid], x)()",
        "TABLE[x.dtype][grid](x)",
        "ALIAS[grid](x)",
        "(k if n else None)[grid](x)",
        "run_it(k, x)",
        "for one in [k]:\n        one[grid](x)",
        "with torch.no_grad():\n        if n:\n            k[grid](x)",
        "return (lambda: k[grid](x))()",
    ],
)
def test_a_function_that_launches(body):
    table = "TABLE = {torch.float16: k}\nALIAS = k\n\n\n"
    check(f"{table}def f(x, n, grid):\n    {body}\n", ["f"])


@pytest.mark.parametrize(
    ("code", "launchers", "direct"),
    [
        ("def f(x):\n    k[1,](x)\n\ndef g(x):\n    f(x)\n\ndef h(x):\n    g(x)\n", ["f", "g", "h"], ["f"]),
        ("def g(x):\n    f(x)\n\ndef f(x):\n    k[1,](x)\n", ["g", "f"], ["f"]),
        (
            ("class F(torch.autograd.Function):\n    @staticmethod\n    def forward(ctx, x):\n"
            "        k[1,](x)\n    @staticmethod\n    def backward(ctx, g):\n        k[1,](g)\n\n"
            "def f(x):\n    return F.apply(x)\n"),
            ["F.forward", "F.backward", "f"],
            ["F.forward", "F.backward"],
        ),
        (
            ("class F(torch.autograd.Function):\n    @staticmethod\n    def forward(ctx, x):\n"
            "        k[1,](x)\n\nsoftmax = F.apply\n\ndef f(x):\n    return softmax(x)\n"),
            ["F.forward", "f"],
            ["F.forward"],
        ),
        (
            ("class M(torch.nn.Module):\n    def __init__(self):\n        self.kernel = k\n"
            "    def forward(self, x):\n        self.launch(x)\n"
            "    def launch(self, x):\n        self.kernel[1,](x)\n\ndef f(x):\n    return M()(x)\n"),
            ["M.__init__", "M.forward", "M.launch", "f"],
            None,
        ),
        (
            ("class Base:\n    def launch(self, x):\n        k[1,](x)\n\n"
            "class Derived(Base):\n    def forward(self, x):\n        self.launch(x)\n"),
            ["Base.launch", "Derived.forward"],
            ["Base.launch"],
        ),
        (
            "def make(n):\n    def inner(x):\n        k[n,](x)\n    return inner\n",
            ["make", "make.inner"],
            ["make.inner"],
        ),
        (
            "def make():\n    chosen = k\n    def inner(x):\n        chosen[1,](x)\n    return inner\n",
            ["make", "make.inner"],
            None,
        ),
        (
            "def get(dtype):\n    return k\n\ndef f(x):\n    get(x.dtype)[1,](x)\n",
            ["get", "f"],
            None,
        ),
        (
            ("@torch.library.custom_op('a::b', mutates_args=())\ndef op(x: torch.Tensor) -> None:\n"
            "    k[1,](x)\n\n@op.register_fake\ndef _(x):\n    return x\n"),
            ["op"],
            ["op"],
        ),
        ("async def f(x):\n    k[1,](x)\n", ["f"], ["f"]),
        ("def k2(k):\n    k[1,](1)\n", [], []),
        ("def f(x):\n    k = x\n    return k[1,](1)\n", [], []),
        ("def f(x):\n    return k.cache_hook\n", [], []),
        ("def f(x):\n    k[1,](x)\n\ndef test_f():\n    f(1)\n\ndef bench_f():\n    f(1)\n", ["f"], ["f"]),
        ("def f(x):\n    g(x)\n\ndef g(x):\n    f(x)\n    k[1,](x)\n", ["f", "g"], ["g"]),
    ],
)  # fmt: skip
def test_launchers_through_classes_closures_and_callers(code, launchers, direct):
    if direct is None:
        (kernel,) = [x for x in parse_units(HEAD + K + code) if x.name == "k"]
        assert list(kernel.launchers) == launchers
        assert kernel.direct
    else:
        check(code, launchers, direct)


HELPERS = (
    HEAD
    + """
@triton.jit
def inner(x):
    return x


@triton.jit
def activation(x):
    return inner(x)


@triton.jit
def k(x, F: tl.constexpr):
    activation(x)


@triton.jit
def relu(x):
    return x


def f(x):
    k[1,](x, F=relu)
"""
)


def test_jit_functions_that_others_call_or_are_handed_are_helpers():
    kernels = {k.name: k for k in parse_units(HELPERS)}
    assert kernels["k"].helpers == ("inner", "activation", "relu")
    assert kernels["inner"].helper_of == ("activation",)
    assert kernels["relu"].helper_of == ("k",)
    assert kernels["relu"].launchers == ()
    assert kernels["k"].launchers == ("f",)
    unit = unit_of(HELPERS, "a.py", "k")
    assert unit.kernels == ("k", "inner", "activation", "relu")
    assert unit.launchers == ("f",)
    assert unit_of(HELPERS, "a.py", "nothing") is None


UNIT = """import torch
import triton

SCALE = 2
FACTOR = SCALE * 3
OTHER = 5


@triton.jit
def helper(x):
    return x * FACTOR


@triton.jit
def k(x):
    helper(x)


def unrelated(x):
    return x  # comment


class F:
    def forward(self, x):
        k[1,](x)

    def elsewhere(self):
        pass


def last(x):
    return F().forward(x)
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("OTHER = 5", "OTHER = 6", True),
        ("return x  # comment", "return x + 1", True),
        ("import torch\n", "import torch\nimport math\n\n# new\n", True),
        ("        pass", "        return 7", True),
        ("\n", "\r\n", True),
        ("return x * FACTOR", "return x * FACTOR + 1", False),
        ("@triton.jit\ndef k", "@triton.jit()\ndef k", False),
        ("k[1,](x)", "k[2,](x)", False),
        ("F().forward(x)", "F().forward(x) + 1", False),
        ("FACTOR = SCALE * 3", "FACTOR = SCALE * 4", False),
        ("SCALE = 2", "SCALE = 3", False),
    ],
)
def test_the_digest_covers_the_unit_and_the_constants_it_reads(old, new, same):
    changed = UNIT.replace(old, new)
    assert changed != UNIT
    assert (unit_digest(changed, "k") == unit_digest(UNIT, "k")) is same


def test_digest_of_no_kernel():
    assert unit_digest(UNIT, "unrelated") is None
    assert unit_members(UNIT, "unrelated") == ()


CANDIDATE = (
    UNIT.replace("import triton\n", "import triton\nimport math\n")
    .replace("    helper(x)\n", "    helper(x + 1)\n    helper(x)\n")
    .replace("        k[1,](x)\n", "        k[4,](x)\n")
    .replace(
        "@triton.jit\ndef k", "@triton.jit\ndef added(x):\n    return x\n\n\n@triton.jit\ndef k"
    )
)


def test_splice_into_an_untouched_file_is_the_candidate():
    assert splice(UNIT, UNIT, CANDIDATE, "k") == Spliced(CANDIDATE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("OTHER = 5", "OTHER = 6  # 🚀 é"),
        ("import torch\n", "import torch\nimport os\n"),
        ("import triton\n", "import triton\nimport sys\n"),
        (
            "    def elsewhere(self):\n        pass\n",
            "    def elsewhere(self):\n        return 1\n",
        ),
        ("def unrelated(x):\n    return x  # comment\n\n\n", ""),
        ("class F:\n", "class F:\n    '''ü'''\n\f\n"),
        ("def last", "# typed while the run went on\n\n\ndef last"),
    ],
)
def test_splice_keeps_what_was_edited_elsewhere(old, new):
    buffer = UNIT.replace(old, new)
    expected = CANDIDATE.replace(old, new)
    spliced = splice(buffer, UNIT, CANDIDATE, "k")
    assert isinstance(spliced, Spliced)
    if old == "import triton\n":  # both added a line at one place: either order will do
        assert sorted(split_lines(spliced.text)) == sorted(
            split_lines(CANDIDATE.replace("import math\n", "import math\nimport sys\n"))
        )
    else:
        assert spliced.text == expected


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("helper(x)\n", "helper(x)  # mine\n", "edited since"),
        ("def k(x)", "def k2(x)", "no kernel"),
    ],
)
def test_splice_refuses_when_the_unit_was_edited(old, new, words):
    conflict = splice(UNIT.replace(old, new), UNIT, CANDIDATE, "k")
    assert isinstance(conflict, Conflict)
    assert words in conflict.reason


OUTSIDE = [
    "# a comment\n",
    "OTHER_{n} = 1\n",
    "\n",
    "\f\n",
    "def other_{n}():\n    return 'é🚀'\n",
    "'''x\u2028'''\n",
]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(OUTSIDE)), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["", "\ufeff"]),
)
def test_edits_elsewhere_survive_byte_for_byte(inserted, ending, start):
    """Text typed between definitions is all there after the splice, and nothing else is new."""
    marks = ["OTHER = 5\n", "def unrelated", "class F", "def last", "import torch\n", "SCALE = 2"]
    buffer = UNIT
    for number, (mark, piece) in enumerate(inserted):
        place = buffer.index(marks[mark])
        buffer = buffer[:place] + piece.format(n=number) + buffer[place:]
    original, candidate, buffer = (
        start + text.replace("\n", ending) for text in (UNIT, CANDIDATE, buffer)
    )
    spliced = splice(buffer, original, candidate, "k")
    assert isinstance(spliced, Spliced)
    rest = iter(split_lines(spliced.text))
    removed = set(split_lines(original)) - set(split_lines(candidate))
    assert all(
        any(line == other for other in rest) for line in split_lines(buffer) if line not in removed
    )
    assert len(spliced.text) - len(buffer) == len(candidate) - len(original)
    assert unit_digest(spliced.text, "k") == unit_digest(candidate, "k")


text_with_lines = st.text(alphabet="ab \t\n\r\f\u2028é🚀", max_size=60)


@settings(max_examples=400, deadline=None)
@given(text_with_lines, text_with_lines)
def test_minimal_edits_turn_old_into_new(old, new):
    edits = minimal_edits(old, new)
    assert apply_edits(old, edits) == new
    assert (edits == ()) is (old == new)
    for edit in edits:
        lines = split_lines(old) or [""]
        for line, column in (
            (edit.start_line, edit.start_column),
            (edit.end_line, edit.end_column),
        ):
            here = lines[line] if line < len(lines) else ""
            assert column <= len(here)
            assert not here[:column].endswith("\r") or here[column : column + 1] != "\n"


def test_minimal_edits_are_minimal():
    old = "def f():\r\n    return 1\r\n\f# é\r\nx = 2\r\n"
    (edit,) = minimal_edits(old, old.replace("return 1", "return 17"))
    assert (edit.start_line, edit.start_column, edit.end_line, edit.end_column) == (1, 12, 1, 12)
    assert edit.text == "7"
    first, second = minimal_edits(old, old.replace("f()", "g()").replace("2", "3"))
    assert (first.start_line, second.start_line) == (0, 3)
    assert (first.text, second.text) == ("g", "3")
