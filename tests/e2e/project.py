"""A project of a person's: a copy of the examples, with settings and stores of its own."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
PYPROJECT = """\
[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]

[tool.whet]
arch = "gfx942"
sweep = false  # so that the only candidates are the scripted model's
iterations = 1
"""
SCRIPTS = Path(sys.executable).parent


@dataclass(frozen=True, kw_only=True)
class Project:
    """`root` holds `kernels/NAME.py` and `tests/test_NAME.py`; `environ` is for an editor."""

    root: Path
    name: str
    environ: dict[str, str]
    mark: str
    """In the environment and thereby in every process that comes of this test."""

    @property
    def file(self) -> Path:
        return self.root / "kernels" / f"{self.name}.py"

    @property
    def text(self) -> str:
        return self.file.read_text("utf-8")

    @property
    def server_command(self) -> list[str]:
        return [str(SCRIPTS / "whet"), "serve"]


def make_project(tmp_path: Path, name: str, *, tests: Sequence[str] = ()) -> Project:
    """Only this example, so that a run starts no test but its own, or but `tests`."""
    root = tmp_path / "project"
    (root / "kernels").mkdir(parents=True)
    (root / "tests").mkdir()
    for relative in (
        "kernels/__init__.py", f"kernels/{name}.py", "tests/conftest.py",
        f"tests/test_{name}.py",
    ):  # fmt: skip
        shutil.copy(EXAMPLES / relative, root / relative)
    settings = PYPROJECT + (f"tests = {json.dumps(tests)}\n" if tests else "")
    (root / "pyproject.toml").write_text(settings, "utf-8")
    mark = uuid.uuid4().hex
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("WHET_", "OPENAI_"))}
    environ |= {
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "home" / ".config"),
        "XDG_DATA_HOME": str(tmp_path / "home" / ".local" / "share"),
        "XDG_STATE_HOME": str(tmp_path / "home" / ".local" / "state"),
        "XDG_CACHE_HOME": str(tmp_path / "home" / ".cache"),
        # The worker lets only names of known tools through to the tests: pytest's are.
        "PYTEST_WHET_MARK": mark,
        "WHET_LIMITS_DIFFERENTIAL_CASES": "3",  # generated cases have tests of their own
        # What else is installed beside pytest here is no part of a person's project.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    (tmp_path / "home").mkdir()
    return Project(root=root, name=name, environ=environ, mark=mark)


def recorded(name: str) -> str:
    """The reply that lies beside this example, in the form that a model gives one."""
    return (EXAMPLES / "recorded" / f"{name}.md").read_text("utf-8")


def with_definitions(text: str, reply: str) -> str:
    """`text` with the functions of the reply's fenced block in place of its own.

    Independent of the product's splice: whole lines found by Python's own syntax tree.
    """
    (block,) = re.findall(r"```python\n(.*?)```", reply, flags=re.DOTALL)
    for name, source in _definitions(block).items():
        old = _definitions(text)[name]
        assert text.count(old) == 1
        text = text.replace(old, source)
    return text


def _definitions(text: str) -> dict[str, str]:
    lines = text.splitlines(keepends=True)
    functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    return {
        node.name: "".join(lines[_first_line(node) - 1 : node.end_lineno]) for node in functions
    }


def _first_line(node: ast.FunctionDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
