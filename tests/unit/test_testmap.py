"""Tests of a kernel found through imports, fixtures, re-exports and settings, as text."""

import json
from pathlib import Path

import pytest

from whet_agent.source.launchers import kernels_json
from whet_agent.source.testmap import Collection, load_collection, static_tests

OPS = """
import torch
import triton

@triton.jit
def helper(x):
    return x

@triton.jit
def k(x):
    helper(x)

def launch(x):
    k[1,](x)

class Fn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        launch(x)

op = Fn.apply

def unrelated(x):
    return x
"""


def project(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"pyproject.toml": "", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def check(root: Path, expected: list[str], *, kernel: str = "k", path: str = "pkg/ops.py") -> None:
    assert list(static_tests(root, Path(path), kernel)) == expected


@pytest.mark.parametrize(
    "test",
    [
        "from pkg.ops import launch\ndef test_a(): launch(1)\n",
        "from pkg.ops import launch as go\ndef test_a(): go(1)\n",
        "from pkg import ops\ndef test_a(): ops.launch(1)\n",
        "import pkg.ops\ndef test_a(): pkg.ops.launch(1)\n",
        "import pkg.ops as o\ndef test_a(): o.launch(1)\n",
        "import pkg\ndef test_a(): pkg.launch(1)\n",
        "from pkg import renamed\ndef test_a(): renamed(1)\n",
        "from pkg.ops import *\ndef test_a(): launch(1)\n",
        "from ..pkg.ops import launch\ndef test_a(): launch(1)\n",
        "from pkg.ops import Fn\ndef test_a(): Fn.apply(1)\n",
        "from pkg.ops import Fn\nf = Fn.apply\ndef test_a(): f(1)\n",
        "from pkg.ops import op\ndef test_a(): op(1)\n",
        "from pkg.ops import k\ndef test_a(): k[1,](1)\n",
        "def test_a():\n    from pkg.ops import launch\n    launch(1)\n",
        "from pkg.ops import launch\ndef helper(x): launch(x)\ndef test_a(): helper(1)\n",
        "from pkg.ops import launch\ndef test_a():\n    def inner(): launch(1)\n    inner()\n",
        (
            "import pytest\nfrom pkg.ops import launch\n@pytest.fixture\ndef made(): return launch(1)\n"
            "def test_a(made): pass\n"
        ),
        "def test_a(from_conftest): pass\n",
        (
            "import pytest\nfrom pkg.ops import launch\n"
            "@pytest.mark.parametrize('fn', [launch, max])\ndef test_a(fn): fn(1)\n"
        ),
        "from pkg.layers import Layer\ndef test_a(): Layer()(1)\n",
        (
            "try:\n    from pkg.ops import launch\nexcept ImportError:\n    launch = None\n"
            "def test_a(): launch(1)\n"
        ),
        "from tests.tools import run\ndef test_a(): run(1)\n",
    ],
)
def test_a_test_that_reaches_the_kernel(tmp_path, test):
    root = project(
        tmp_path,
        {
            "pkg/__init__.py": "from .ops import launch, launch as renamed\n",
            "pkg/ops.py": OPS,
            "pkg/layers.py": "from .ops import op\nclass Layer:\n    def forward(self, x): op(x)\n",
            "tests/conftest.py": "import pytest\nfrom pkg.ops import launch\n"
            "@pytest.fixture(scope='module')\ndef from_conftest():\n    return launch(1)\n",
            "tests/__init__.py": "",
            "tests/tools.py": "from pkg.ops import launch\ndef run(x): launch(x)\n",
            "tests/test_x.py": test + "def test_other(): pass\n",
            "tests/test_y.py": "from pkg.ops import unrelated\ndef test_y(): unrelated(1)\n",
        },
    )
    check(root, ["tests/test_x.py::test_a"])
    check(root, ["tests/test_x.py::test_a"], kernel="helper")
    check(root, [], kernel="missing")


@pytest.mark.parametrize(
    "layout", ["src/pkg/ops.py", "ops.py", "python/deep/pkg/ops.py", "ns/ops.py"]
)
def test_layouts(tmp_path, layout):
    module = layout.removesuffix(".py").replace("/", ".")
    module = module[module.index("pkg") :] if "pkg" in module else module
    files = {
        layout: OPS,
        "tests/test_x.py": f"from {module} import launch\ndef test_a(): launch(1)\n",
    }
    if "pkg" in layout:
        files[str(Path(layout).parent / "__init__.py")] = ""
    check(project(tmp_path, files), ["tests/test_x.py::test_a"], path=layout)


def test_methods_classes_order_and_what_pytest_would_not_collect(tmp_path):
    root = project(
        tmp_path,
        {
            "pkg/ops.py": OPS + "\ndef test_own(): launch(1)\n",
            "tests/test_x.py": "from pkg.ops import launch\nimport unittest\n"
            "class TestC:\n    def setup_method(self): self.x = 1\n"
            "    def test_b(self): launch(1)\n    def test_a(self): self.tool()\n"
            "    def tool(self): launch(1)\n"
            "class Odd:\n    def test_no(self): launch(1)\n"
            "class Case(unittest.TestCase):\n    def test_yes(self): launch(1)\n"
            "def helper(): launch(1)\nasync def test_async(): launch(1)\n",
            "tests/not_collected.py": "from pkg.ops import launch\ndef check(): launch(1)\n",
        },
    )
    check(
        root,
        [
            "pkg/ops.py::test_own",
            "tests/test_x.py::TestC::test_b",
            "tests/test_x.py::TestC::test_a",
            "tests/test_x.py::Case::test_yes",
            "tests/test_x.py::test_async",
        ],
    )


def test_distant_tests_only_when_nothing_is_nearer(tmp_path):
    files = {
        "pkg/ops.py": OPS,
        "pkg/a.py": "from pkg.ops import launch\ndef a(x): launch(x)\n",
        "pkg/b.py": "from pkg.a import a\ndef b(x): a(x)\n",
        "tests/test_far.py": "from pkg.b import b\ndef test_far(): b(1)\n",
    }
    check(project(tmp_path, files), ["tests/test_far.py::test_far"])
    near = {"tests/test_near.py": "from pkg.ops import launch\ndef test_near(): launch(1)\n"}
    check(project(tmp_path, near), ["tests/test_near.py::test_near"])


def test_unsaved_buffers_count_instead_of_files(tmp_path):
    root = project(tmp_path, {"pkg/ops.py": OPS, "tests/test_x.py": "def test_a(): pass\n"})
    typed = {root / "tests/test_x.py": "from pkg.ops import launch\ndef test_a(): launch(1)\n"}
    found = static_tests(root, Path("pkg/ops.py"), "k", overlay=typed)
    assert found == ("tests/test_x.py::test_a",)


@pytest.mark.parametrize(
    ("name", "text", "files"),
    [
        (
            "pyproject.toml",
            "[tool.pytest.ini_options]\npython_files = ['check_*.py']\n",
            ("check_*.py",),
        ),
        (
            "pyproject.toml",
            "[tool.pytest.ini_options]\npython_files = 'a.py b.py'\n",
            ("a.py", "b.py"),
        ),
        ("pytest.ini", "[pytest]\npython_files = check_*.py\n", ("check_*.py",)),
        ("tox.ini", "[pytest]\npython_files = check_*.py\n", ("check_*.py",)),
        (
            "setup.cfg",
            "[tool:pytest]\npython_files =\n    check_*.py\n    t.py\n",
            ("check_*.py", "t.py"),
        ),
        ("pyproject.toml", "[tool.pytest", ("test_*.py", "*_test.py")),
        ("setup.cfg", "python_files", ("test_*.py", "*_test.py")),
    ],
)
def test_pytest_settings(tmp_path, name, text, files):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert load_collection(tmp_path).files == files


def test_collection_default():
    collection = Collection()
    assert collection.is_test_file(Path("/p/tests/ops_test.py"), Path("/p"))
    assert not collection.is_test_file(Path("/p/tests/ops.py"), Path("/p"))


def test_kernels_json(tmp_path):
    root = project(
        tmp_path,
        {
            "pkg/ops.py": OPS,
            "pkg/other.py": "from pkg.ops import k\ndef outside(x):\n    k[1,](x)\n",
            "pkg/latin.py": "",
            "pkg/broken.py": "",
            ".venv/x.py": OPS,
            "node_modules/x.py": OPS,
            "build/lib/x.py": OPS,
            "pkg/build/kept.py": "import triton\n@triton.jit\ndef kept(): pass\n",
            "tests/test_x.py": "from pkg.other import outside\ndef test_a(): outside(1)\n",
        },
    )
    latin = "# -*- coding: latin-1 -*-\nimport triton\n# \xe9\n@triton.jit\ndef named(): pass\n"
    (root / "pkg/latin.py").write_bytes(latin.encode("latin-1"))
    (root / "pkg/broken.py").write_bytes(b"# jit \xff\xfe\n")
    skipped = []
    rows = kernels_json([Path()], root, on_skip=lambda path, why: skipped.append((path.name, why)))
    assert json.loads(json.dumps(rows)) == rows
    found = {(r["file"], r["name"]): r for r in rows}
    assert list(found) == [
        ("pkg/latin.py", "named"),
        ("pkg/ops.py", "helper"),
        ("pkg/ops.py", "k"),
        ("pkg/build/kept.py", "kept"),
    ]
    row = found["pkg/ops.py", "k"]
    assert row["launchers"] == ["launch", "Fn.forward", "pkg/other.py::outside"]
    assert row["direct"] == ["launch"]
    assert row["tests"] == ["tests/test_x.py::test_a"]
    assert (row["line"], row["end_line"]) == (10, 11)
    assert found["pkg/ops.py", "helper"]["helper_of"] == ["k"]
    assert [name for name, _ in skipped] == ["broken.py"]
    assert kernels_json([root / "pkg/latin.py"], Path("/"))[0]["file"].endswith("pkg/latin.py")
    assert kernels_json([root / "missing.py"], root) == []
