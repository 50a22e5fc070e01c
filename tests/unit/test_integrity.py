"""What the audit hook takes for a trick of the unit's file, each in a process of its own:
a hook cannot be removed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_RUN = """
import json, sys
from whet_evaluator.worker import integrity
unit, original = sys.argv[1:3]
seen = []
integrity.Watch(unit, original, lambda reason, detail: seen.append(reason)).install()
code = compile(open(unit).read(), unit, "exec")
exec(code, {"__name__": "unit"})
print(json.dumps(seen))
"""
TRICKS = {
    "import sys\nsys._getframe()": "walked the interpreter's frames",
    "import inspect\ninspect.stack()": "walked the interpreter's frames",
    "import gc\ngc.get_objects()": "searched the collector's objects",
    "eval('1 + 1')": "ran code hidden in text",
    "import threading\nthreading.Thread(target=int).start()": "started a thread",
    "import os\nos.environ['WHET_TEST'] = '1'": "changed the environment",
    "def f(): pass\ndef g(): return 1\nf.__code__ = g.__code__": "exchanged a function's code",
    "open(__import__('os').devnull, 'w')": "changed files",
}
HONEST = (
    "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass A:\n    x: int\n"
    "from collections import namedtuple\nB = namedtuple('B', 'x')\n"
    "import typing, functools, math, warnings, fractions\n"
    "class C(typing.NamedTuple):\n    x: int\n"
    "try:\n    raise ValueError\nexcept ValueError:\n    pass\n"
)


def seen(tmp_path: Path, text: str, original: str = "") -> list[str]:
    unit = tmp_path / "unit.py"
    unit.write_text(text)
    argv = [sys.executable, "-c", _RUN, str(unit), original]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("text", TRICKS, ids=TRICKS.values())
def test_a_trick_of_the_unit_is_seen(tmp_path: Path, text: str) -> None:
    assert TRICKS[text] in seen(tmp_path, text)


def test_what_the_original_does_too_is_allowed(tmp_path: Path) -> None:
    assert seen(tmp_path, "import sys\nsys._getframe()", "sys._getframe(1)") == []


def test_what_libraries_do_for_honest_code_is_none(tmp_path: Path) -> None:
    assert seen(tmp_path, HONEST) == []


_SEALED = """
import json, os, sys, types
from whet_evaluator.worker import integrity
folder, original, then = sys.argv[1:4]
module = types.ModuleType("unit__original")
sys.modules[module.__name__] = module
seen = []
watch = integrity.Watch("unit.py", original, lambda reason, detail: seen.append(detail))
path = module.__file__ = os.path.join(folder, "unit__original.py")
open(path, "w").write(original)
exec(compile(original, path, "exec"), module.__dict__)
check = watch.seal("then", version=module)
exec(compile(then, "then.py", "exec"), module.__dict__)
check()
print(json.dumps(seen))
"""
_TUNED = """
import triton
import triton.language as tl


@triton.autotune(configs=[triton.Config({"BLOCK": 64}), triton.Config({"BLOCK": 128})], key=["n"])
@triton.jit
def kernel(x, n, BLOCK: tl.constexpr):
    pass
"""
_CHOOSING = """
class Op:
    def impl(self): pass

    @classmethod
    def choose(cls): cls.impl = lambda self: 1
"""
_RUNNING = """
class Runner:
    def __init__(self): self.cache = {"out": 1}

    def run(self): pass


RUNNER = Runner()
"""
_SLOTTED = """
class Plan:
    __slots__ = ()

    def run(self): pass


PLAN = Plan()
"""
_OWN_HABITS = {
    "a method chosen at the first call": (_CHOOSING, "Op.choose()"),
    "an object with a run and a cache": (_RUNNING, "RUNNER.cache['out'] = 2"),
    "an object with a run and slots": (_SLOTTED, "pass"),
    "a name declared global": ("SMS = None\ndef f():\n    global SMS\n    SMS = 3\n", "f()"),
    "a new name": ("def f(): pass\n", "annotations = 1"),
    "a warning": ("import warnings\n", "warnings.warn('once')"),
}
_EXCHANGES = {
    "a constant": ("BLOCK = 64\n", "BLOCK = 1", "BLOCK"),
    "an object that cannot be called": ("KERNEL = object()\n", "KERNEL = 1", "KERNEL"),
    "a method": ("class Op:\n    def impl(self): pass\n", "Op.impl = None", "Op.impl"),
    "a hidden builtin": ("def f(x): return len(x)\n", "len = None", "len"),
    "a configuration": (_TUNED, "kernel.configs[0].kwargs['BLOCK'] = 16", "kernel.configs.BLOCK"),
    "its warps": (_TUNED, "kernel.configs[1].num_warps = 1", "kernel.configs.num_warps"),
    "a kernel's run": (_TUNED, "kernel.fn.run = None", "kernel.fn.run"),
}


def said(folder: Path, original: str, then: str) -> list[str]:
    argv = [sys.executable, "-W", "ignore", "-c", _SEALED, folder, original, then]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(("original", "then"), _OWN_HABITS.values(), ids=_OWN_HABITS)
def test_what_an_original_does_to_itself_is_no_exchange(
    tmp_path: Path, original: str, then: str
) -> None:
    assert said(tmp_path, original, then) == []


@pytest.mark.parametrize(("original", "then", "name"), _EXCHANGES.values(), ids=_EXCHANGES)
def test_what_is_exchanged_in_an_original_is_named(
    tmp_path: Path, original: str, then: str, name: str
) -> None:
    assert f"unit__original.{name} was exchanged then" in said(tmp_path, original, then)
