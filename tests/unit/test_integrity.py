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
