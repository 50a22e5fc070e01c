"""Each rule of the screen, once broken and once kept."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet_agent.candidates.screen import Screened, Unusable, screen, syntax_hash
from whet_agent.source.units import unit_of

ORIGINAL = '''"""Module."""
import os

import torch
import triton
import triton.language as tl

BLOCK = 64


@triton.jit
def helper(x):
    return x


@triton.jit
def shared(x):
    return x


@triton.jit
def k(x_ptr, n, B: tl.constexpr):
    """Doubles."""
    x = tl.load(x_ptr)  # once
    tl.store(x_ptr, shared(helper(x)))


@triton.jit
def other_kernel(x):
    shared(x)


def launch(x: torch.Tensor, *, scale: float = 1.0) -> torch.Tensor:
    k[(1,)](x, x.numel(), B=BLOCK)
    return x


class Op(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return launch(x)

    @staticmethod
    def backward(ctx, g):
        return os.path and g


def unrelated(x):
    return x
'''
UNIT = unit_of(ORIGINAL, "a.py", "k")


def judged(*changes: tuple[str, str], **more) -> Screened | Unusable:
    text = ORIGINAL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return screen(UNIT, text, more.pop("seen", ()), **more)


def test_the_unit_under_test():
    assert UNIT.kernels == ("k", "helper", "shared")
    assert UNIT.launchers == ("launch", "Op.forward")


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [("tl.load(x_ptr)", "tl.load(x_ptr) * 2")],
        [("def k(x_ptr, n, B", "def k(x_ptr, B"), ("x.numel(), B=BLOCK", "B=BLOCK")],
        [("x: torch.Tensor, *, scale: float = 1.0", "x, *, scale=1.0")],
        [("@triton.jit\ndef k", "@triton.autotune(configs=[], key=[])\n@triton.jit\ndef k")],
        [
            (
                "BLOCK = 64\n",
                "BLOCK = 64\nWIDER = 128\n\n\n@triton.jit\ndef extra(x):\n    return x\n",
            )
        ],
        [("BLOCK = 64\n", "BLOCK = 64\n\n\ndef pick(n):\n    return min(n, 64)\n")],
        [("import torch\n", "import torch\nimport math\nfrom typing import Any\n")],
        [("import torch\n", "import torch\nfrom triton.language.extra import libdevice\n")],
        [("    return x\n\n\nclass", "    import os.path\n    max = x\n    return max\n\n\nclass")],
        [("return launch(x)", "y = launch(x)\n        return y")],
        [("@triton.jit\ndef helper(x):\n    return x\n\n\n", ""), ("helper(x)", "x")],
        [("\n\n\nclass Op", "\n\n\n\nclass Op")],
        [("    return x\n\n\nclass", "    input = x\n    return input\n\n\nclass")],
        [("    return x\n\n\nclass", "    getattr(x, 'names', None)\n    return x\n\n\nclass")],
        [
            (
                "    return x\n\n\nclass",
                "    def hook(ctx, given):\n        ctx.n, given['x'].block_shape = 1, [64]\n    return x\n\n\nclass",
            )
        ],
    ],
)
def test_kept_rules(changes):
    verdict = judged(*changes)
    assert isinstance(verdict, Screened), verdict
    assert verdict.syntax_hash == syntax_hash(verdict.text)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("tl.load(x_ptr)", "tl.load(x_ptr")], "does not parse: line"),
        ([("tl.load(x_ptr)", "\0")], "does not parse"),
        ([("    return x\n\n\nclass", "    return input\n\n\nclass")], "`input` may not be used"),
        ([("    return x\n\n\nclass", "    def f(open=open):\n        return open\n    return x\n\n\nclass")],
         "`open` may not be used"),
        ([("    return x\n\n\nclass",
           "    try:\n        return x\n    except ValueError:\n        return x\n\n\nclass")],
         "`try` may not be added"),
        ([("    return x\n\n\nclass", "    return x.to('cuda:0')\n\n\nclass")],
         "The device `cuda:0` may not be named"),
        ([("# once", "; tl.device_print('x', x)")], "`.device_print` may not be used"),
        # What outlives the call, or computes where no launch is seen.
        ([("    return x\n\n\nclass", "    x._kept = x.clone()\n    return x\n\n\nclass")],
         "`x._kept` may not be assigned to: keep nothing"),
        ([("    return x\n\n\nclass", "    y = x\n    del y.grad\n    return x\n\n\nclass")],
         "`y.grad` may not be assigned to"),
        ([("    return x\n\n\nclass",
           "    with torch.utils._python_dispatch.hidden():\n        return x\n\n\nclass")],
         "`._python_dispatch` is private to `torch`"),
        ([("    return x\n\n\nclass", "    getattr(k, '__clo' + 'sure__')\n    return x\n\n\nclass")],
         "`getattr` may not be given a computed name"),
        ([("    return x\n\n\nclass", "    hasattr(k, '__closure__')\n    return x\n\n\nclass")],
         "`.__closure__` may not be used"),
        ([("    return x\n\n\nclass", "    torch.set_flush_denormal(True)\n    return x\n\n\nclass")],
         "`.set_flush_denormal` may not be used"),
        ([("    return x\n\n\nclass", "    k.pre_run_hooks.append(x)\n    return x\n\n\nclass")],
         "`.pre_run_hooks` may not be used"),
        # Questions whether this is Triton's interpreter.
        ([("    return x\n\n\nclass",
           "    return x if isinstance(k, triton.JITFunction) else k\n\n\nclass")],
         "`JITFunction` may not be used"),
        ([("    return x\n\n\nclass", "    return triton.knobs.runtime.interpret\n\n\nclass")],
         "`knobs` may not be used"),
        ([("import torch\n", "import torch\nfrom triton.runtime.jit import JITFunction as J\n")],
         "`JITFunction` may not be used"),
        ([("    return x\n\n\nclass", "    return 'TRITON_INTERPRET'\n\n\nclass")],
         "`TRITON_INTERPRET` may not be asked for"),
        # signatures
        ([("*, scale: float = 1.0", "scale: float = 1.0")], "signature of launch"),
        ([("scale: float = 1.0", "scale: float = 2.0")], "signature of launch"),
        ([("def launch(x: torch", "def launch(y: torch")], "signature of launch"),
        ([("def launch", "async def launch")], "signature of launch"),
        ([("    @staticmethod\n    def forward", "    @classmethod\n    def forward")], "decorators of Op.forward"),
        ([("def shared(x)", "def shared(x, y=1)")], "signature of shared"),
        ([("@triton.jit\ndef shared(x):\n    return x\n", "")], "shared is gone"),
        ([("def launch(", "def launch_fast(")], "launch is gone"),
        ([("def k(", "def k_fast("), ("k[(1,)]", "k_fast[(1,)]")], "k is gone"),
        ([("@triton.jit\ndef k", "def k")], "no longer a @triton.jit"),
        # what lies outside the unit must stay
        ([("def unrelated(x):\n    return x\n", "")], "outside the unit changed"),
        ([("def unrelated(x):\n    return x\n", "def unrelated(x):\n    return 2 * x\n")], "outside the unit"),
        ([("def unrelated(x):\n", "def unrelated(x):\n    x = 1\n")], "outside the unit"),
        ([("return os.path and g", "return g")], "outside the unit"),
        ([("BLOCK = 64", "BLOCK = 128")], "outside the unit"),
        ([("import os\n", "")], "outside the unit"),
        ([("def other_kernel(x)", "def other_kernel(x, y)")], "outside the unit"),
        # additions
        ([("BLOCK = 64\n", "BLOCK = 64\nprint(BLOCK)\n")], "not an import, a definition"),
        ([("BLOCK = 64\n", "BLOCK = 64\nif BLOCK:\n    X = 1\n")], "not an import, a definition"),
        ([("BLOCK = 64\n", "BLOCK = 64\ntorch.x = 1\n")], "may not be assigned"),
        ([("BLOCK = 64\n", "BLOCK = 64\nmin = 1\n")], "hides one"),
        ([("BLOCK = 64\n", "BLOCK = 64\n\ndef unrelated(x): return x\n")], "hides one"),
        ([("BLOCK = 64\n", "BLOCK = 64\ntriton = None\n")], "hides one"),
        ([("import torch\n", "import torch\nimport math as torch\n")], "hides one"),
        ([("BLOCK = 64\n", "BLOCK = 64\n\ndef pytest(): pass\n")], "hides one"),
        # what may be imported
        ([("import torch\n", "import torch\nimport ctypes\n")], "`ctypes` may not be imported"),
        ([("import torch\n", "import torch\nimport subprocess\n")], "`subprocess` may not be imported"),
        ([("import torch\n", "import torch\nfrom threading import Thread\n")], "`threading.Thread` may not"),
        ([("import torch\n", "import torch\nimport inspect\n")], "`inspect` may not be imported"),
        ([("    return x\n\n\nclass", "    import numpy\n    return x\n\n\nclass")], "`numpy` may not be"),
        ([("import torch\n", "import torch\nfrom torch.utils import cpp_extension\n")], "cpp_extension"),
        ([("import torch\n", "import torch\nfrom . import sneaky\n")], "`.sneaky` may not"),
        # doings
        ([("    return x\n\n\nclass", "    exec('1')\n    return x\n\n\nclass")], "`exec` may not"),
        ([("    return x\n\n\nclass", "    eval('1')\n    return x\n\n\nclass")], "`eval` may not"),
        ([("    return x\n\n\nclass", "    __import__('gc')\n    return x\n\n\nclass")], "`__import__`"),
        ([("    return x\n\n\nclass", "    setattr(torch, 'a', 1)\n    return x\n\n\nclass")], "`setattr`"),
        ([("    return x\n\n\nclass", "    torch.allclose = max\n    return x\n\n\nclass")], "`torch.allclose`"),
        ([("    return x\n\n\nclass", "    del torch.allclose\n    return x\n\n\nclass")], "`torch.allclose`"),
        ([("    return x\n\n\nclass", "    launch.cache = x\n    return x\n\n\nclass")], "`launch.cache`"),
        ([("    return x\n\n\nclass", "    global BLOCK\n    return x\n\n\nclass")], "`global BLOCK`"),
        ([("    return x\n\n\nclass", "    os._exit(0)\n    return x\n\n\nclass")], "`._exit`"),
        ([("    return x\n\n\nclass", "    torch.sys.modules\n    return x\n\n\nclass")], "`.sys` may not"),
        ([("import torch\n", "import torch\nfrom torch import sys as s\n")], "`torch.sys` may not"),
        ([("    return x\n\n\nclass", "    launch.__code__\n    return x\n\n\nclass")], "`.__code__`"),
    ],
)  # fmt: skip
def test_broken_rules(changes, words):
    verdict = judged(*changes)
    assert isinstance(verdict, Unusable), "should have been refused"
    assert words in verdict.reason
    assert verdict.reason.endswith(".")


def test_the_kernels_signature_stays_when_another_file_launches_it():
    changes = [("def k(x_ptr, n, B", "def k(x_ptr, B"), ("x.numel(), B=BLOCK", "B=BLOCK")]
    assert isinstance(judged(*changes), Screened)
    verdict = judged(*changes, launched_outside=True)
    assert isinstance(verdict, Unusable)
    assert "signature of k" in verdict.reason


def test_the_kernels_signature_stays_when_the_files_own_tests_launch_it():
    original = ORIGINAL + "\n\ndef test_k():\n    k[(1,)](1, 2, B=3)\n"
    unit = unit_of(original, "a.py", "k")
    verdict = screen(unit, original.replace("def k(x_ptr, n,", "def k(x_ptr, m,"), ())
    assert isinstance(verdict, Unusable)
    assert "signature of k" in verdict.reason


def test_duplicates_are_the_same_program_apart_from_comments_and_layout():
    seen = {syntax_hash(ORIGINAL)}
    for old, new in [
        ("  # once", ""),
        ('    """Doubles."""\n', ""),
        ("tl.load(x_ptr)", "tl.load( x_ptr )"),
    ]:
        verdict = judged((old, new), seen=seen)
        assert isinstance(verdict, Unusable)
        assert "already tried" in verdict.reason
    assert isinstance(judged(("tl.load(x_ptr)", "tl.load(x_ptr + 0)"), seen=seen), Screened)


def test_what_the_original_does_already_may_stay():
    original = ORIGINAL.replace("    return x\n\n\nclass", "    exec('1')\n    return x\n\n\nclass")
    unit = unit_of(original, "a.py", "k")
    assert isinstance(
        screen(unit, original.replace("tl.load(x_ptr)", "tl.load(x_ptr + 1)"), ()), Screened
    )
    twice = original.replace("    exec('1')\n", "    exec('1')\n    exec('1')\n")
    assert isinstance(screen(unit, twice, ()), Unusable)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_never_raises(data):
    start = data.draw(st.integers(0, len(ORIGINAL)))
    noise = data.draw(st.text(alphabet="()[]'\"\\\n :@#=\0\rab\u2028", max_size=10))
    verdict = screen(UNIT, ORIGINAL[:start] + noise + ORIGINAL[start + len(noise) :], ())
    assert isinstance(verdict, Screened | Unusable)
