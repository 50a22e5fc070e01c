"""However a project is installed, its tests must import the candidate, never the original."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from stage_child import make_job, run_stage

SITE = next(p for p in site.getsitepackages() if p.endswith("site-packages"))
SETUPTOOLS = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "fast"
version = "1"
"""
HATCHLING = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "fast"
version = "1"
[tool.hatch.build.targets.wheel]
packages = ["src/fast"]
"""
TEST = """
import {module} as unit
from {module} import which
def test_which():
    assert which() == "candidate"
    assert unit.__file__.startswith({scratch!r})
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A throw-away environment that sees torch, triton and pytest but not Whet."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    folder = next((home / "lib").glob("python*/site-packages"))
    (folder / "outer.pth").write_text(SITE + "\n")
    return home / "bin" / "python"


def install(python: Path, root: Path, *flags: str) -> None:
    argv = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
    argv += ["--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check"]
    argv += [*flags, str(root)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def check(
    tmp_path: Path,
    files: dict[str, str],
    *,
    unit: str,
    python: Path | str = sys.executable,
    installed: tuple[str, ...] | None = None,
    root_only: dict[str, str] | None = None,
    nodes: tuple[str, ...] = ("tests/test_it.py",),
) -> dict:
    """Writes a project whose unit says `original`, a scratch whose unit says `candidate`,
    and expects its tests to see the latter."""
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    for path, text in {**files, **(root_only or {})}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text.replace("SCRATCH", str(scratch)).replace("ROOT", str(root)))
    if installed is not None:
        install(Path(python), root, *installed)
    shutil.copytree(root, scratch, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    for path in root_only or {}:
        (scratch / path).unlink()
    (scratch / unit).write_text((root / unit).read_text().replace("original", "candidate"))
    job = make_job(root, scratch, tmp_path / "out", unit, mode="device", record=False)
    before = sorted(p for p in root.rglob("*"))
    result = run_stage("tests:run", {**job, "nodes": list(nodes)}, python=str(python))
    assert [o["outcome"] for o in result["outcomes"]] == ["passed"], result
    assert result["misplaced"] is None
    assert result["exit_status"] == 0
    assert sorted(p for p in root.rglob("*")) == before, "the user's tree was written to"
    return result


def test(module: str) -> str:
    return TEST.format(module=module, scratch="SCRATCH")


test.__test__ = False
UNIT = "def which():\n    return 'original'\n"


def test_flat_layout(tmp_path: Path) -> None:
    check(
        tmp_path,
        {"fast/__init__.py": "", "fast/k.py": UNIT, "tests/test_it.py": test("fast.k")},
        unit="fast/k.py",
    )


def test_single_file_beside_its_test(tmp_path: Path) -> None:
    files = {"k.py": UNIT, "test_it.py": test("k")}
    check(tmp_path, files, unit="k.py", nodes=("test_it.py",))


def test_src_layout_not_installed(tmp_path: Path) -> None:
    check(
        tmp_path,
        {"src/fast/__init__.py": "", "src/fast/k.py": UNIT, "tests/test_it.py": test("fast.k")},
        unit="src/fast/k.py",
    )


SRC = {
    "src/fast/__init__.py": "from fast.k import which",
    "src/fast/k.py": UNIT,
    "tests/test_it.py": test("fast.k"),
}


@pytest.mark.parametrize(
    ("backend", "flags"),
    [
        (SETUPTOOLS, ("-e",)),
        (SETUPTOOLS, ()),
        (HATCHLING, ("-e",)),
        (HATCHLING, ()),
        (SETUPTOOLS, ("--config-settings", "editable_mode=strict", "-e")),
    ],
    ids=["setuptools-pth", "setuptools-copy", "hatchling-pth", "hatchling-copy", "strict"],
)
def test_installed_src_layout(
    tmp_path: Path, python: Path, backend: str, flags: tuple[str, ...]
) -> None:
    files = {**SRC, "pyproject.toml": backend}
    check(tmp_path, files, unit="src/fast/k.py", python=python, installed=flags)


def test_editable_finder_with_a_renamed_folder(tmp_path: Path, python: Path) -> None:
    """`package-dir` maps a name to a folder of another: only setuptools' finder knows it,
    and for everybody else `sched` is Python's own."""
    backend = SETUPTOOLS + (
        '[tool.setuptools]\npackages = ["fast"]\npackage-dir = {"fast" = "lib/sched"}\n'
    )
    files = {
        "pyproject.toml": backend,
        "lib/sched/__init__.py": "",
        "lib/sched/k.py": UNIT,
        "tests/test_it.py": "from sched import scheduler\n" + test("fast.k"),
    }
    check(tmp_path, files, unit="lib/sched/k.py", python=python, installed=("-e",))
    finders = list(python.parent.parent.rglob("__editable___fast*finder.py"))
    assert finders, "setuptools no longer writes a finder here, so this case proves nothing"


@pytest.mark.parametrize(
    "way_in",
    [
        pytest.param({"lib/test_it.py": test("sched.k")}, id="a test beside it"),
        pytest.param({"pytest.ini": "[pytest]\npythonpath = lib\n"}, id="pythonpath"),
        pytest.param(
            {"tests/conftest.py": "import sys\nsys.path.insert(0, 'ROOT/lib')\n"}, id="conftest"
        ),
        pytest.param(
            {"tests/conftest.py": "import sys\nsys.path.insert(0, 'SCRATCH/lib')\n"},
            id="conftest, by its own place",
        ),
    ],
)
def test_a_package_that_hides_one_of_pythons_own(tmp_path: Path, way_in: dict[str, str]) -> None:
    """Where the project says so, as without us."""
    files = {"lib/sched/__init__.py": "", "lib/sched/k.py": UNIT, **way_in}
    nodes = ("lib/test_it.py",)
    if "lib/test_it.py" not in files:
        files["tests/test_it.py"], nodes = test("sched.k"), ("tests/test_it.py",)
    check(tmp_path, files, unit="lib/sched/k.py", nodes=nodes)


def test_copy_in_site_packages_from_an_odd_folder(tmp_path: Path, python: Path) -> None:
    backend = SETUPTOOLS + '[tool.setuptools.packages.find]\nwhere = ["python"]\n'
    files = {
        "pyproject.toml": backend,
        "python/fast/__init__.py": "",
        "python/fast/k.py": UNIT,
        "tests/test_it.py": test("fast.k"),
    }
    check(tmp_path, files, unit="python/fast/k.py", python=python, installed=())


def test_conftest_is_the_way_in(tmp_path: Path) -> None:
    files = {
        "fast/k.py": UNIT,
        "tests/conftest.py": "import sys\nsys.path.insert(0, 'ROOT/fast')\nfrom k import which\n",
        "tests/test_it.py": "from conftest import which\n"
        "def test_it():\n    assert which() == 'candidate'\n",
    }
    check(tmp_path, files, unit="fast/k.py")


def test_unit_in_a_conftest(tmp_path: Path) -> None:
    files = {
        "tests/conftest.py": UNIT,
        "tests/test_it.py": "from conftest import which\n"
        "def test_it():\n    assert which() == 'candidate'\n",
    }
    check(tmp_path, files, unit="tests/conftest.py")


def test_namespace_package(tmp_path: Path) -> None:
    files = {"src/ns/fast/k.py": UNIT, "tests/test_it.py": test("ns.fast.k")}
    check(tmp_path, files, unit="src/ns/fast/k.py")


def test_namespace_package_reached_through_the_user_path(tmp_path: Path) -> None:
    """Whatever finds the namespace in the user's tree, its modules come from the scratch."""
    files = {
        "odd/ns/fast/k.py": UNIT,
        "tests/test_it.py": "import sys\nsys.path.insert(0, 'ROOT/odd')\n" + test("ns.fast.k"),
    }
    check(tmp_path, files, unit="odd/ns/fast/k.py")


def test_pythonpath_of_the_ini_file(tmp_path: Path) -> None:
    files = {
        "pytest.ini": "[pytest]\npythonpath = libs\n",
        "libs/k.py": UNIT,
        "tests/test_it.py": test("k"),
    }
    check(tmp_path, files, unit="libs/k.py")


def test_importlib_mode(tmp_path: Path) -> None:
    files = {
        "pytest.ini": "[pytest]\naddopts = --import-mode=importlib\n",
        "src/fast/__init__.py": "",
        "src/fast/k.py": UNIT,
        "tests/test_it.py": test("fast.k"),
    }
    check(tmp_path, files, unit="src/fast/k.py")


def test_files_git_ignores_are_found_in_the_users_tree(tmp_path: Path) -> None:
    files = {
        "fast/__init__.py": "from fast._version import version",
        "fast/k.py": UNIT,
        "tests/test_it.py": test("fast.k"),
    }
    check(tmp_path, files, unit="fast/k.py", root_only={"fast/_version.py": "version = '1'"})


def test_subprocess_of_a_test_imports_the_candidate(tmp_path: Path) -> None:
    files = {
        "src/fast/__init__.py": "",
        "src/fast/k.py": UNIT,
        "tests/test_it.py": "import subprocess, sys\nimport fast.k\ndef test_it():\n"
        "    code = 'import fast.k; print(fast.k.which())'\n"
        "    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)\n"
        "    assert out.stdout.strip() == 'candidate', out\n",
    }
    check(tmp_path, files, unit="src/fast/k.py")


def test_stale_bytecode_of_the_same_size_and_second_is_not_run(tmp_path: Path) -> None:
    """Bytecode of the original, copied with the tree, valid by its stamp for the candidate."""
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    for folder in (root, scratch):
        (folder / "fast").mkdir(parents=True)
        (folder / "fast/__init__.py").write_text("")
        (folder / "test_it.py").write_text(
            "from fast.k import which\ndef test_it():\n    assert which() == 'candidat'\n"
        )
    unit = scratch / "fast/k.py"
    unit.write_text(UNIT)
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(unit)], check=True)
    stamp = unit.stat()
    unit.write_text(UNIT.replace("original", "candidat"))
    os.utime(unit, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert unit.stat().st_size == stamp.st_size
    job = make_job(root, scratch, tmp_path / "out", "fast/k.py", mode="device", record=False)
    result = run_stage("tests:run", {**job, "nodes": ["test_it.py"]})
    assert [o["outcome"] for o in result["outcomes"]] == ["passed"], result


def test_a_test_that_loads_the_original_by_path_is_misplaced(tmp_path: Path) -> None:
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    for folder, word in ((root, "original"), (scratch, "candidate")):
        folder.mkdir()
        (folder / "k.py").write_text(UNIT.replace("original", word))
        (folder / "test_it.py").write_text(
            "import importlib.util, sys\n"
            f"spec = importlib.util.spec_from_file_location('k', {str(root / 'k.py')!r})\n"
            "k = sys.modules['k'] = importlib.util.module_from_spec(spec)\n"
            "spec.loader.exec_module(k)\n"
            "def test_it():\n    assert k.which()\n"
        )
    job = make_job(root, scratch, tmp_path / "out", "k.py", mode="device", record=False)
    result = run_stage("tests:run", {**job, "nodes": ["test_it.py"]})
    assert "instead of the candidate" in result["misplaced"]


def test_tests_that_never_import_the_unit_are_misplaced(tmp_path: Path) -> None:
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    for folder in (root, scratch):
        folder.mkdir()
        (folder / "k.py").write_text(UNIT)
        (folder / "test_it.py").write_text("def test_it():\n    pass\n")
    job = make_job(root, scratch, tmp_path / "out", "k.py", mode="device", record=False)
    result = run_stage("tests:run", {**job, "nodes": ["test_it.py"]})
    assert "never imported" in result["misplaced"]


def test_unit_in_site_packages(tmp_path: Path, python: Path) -> None:
    """A kernel opened in site-packages lies outside the root; its copy replaces it alone."""
    package = next((python.parent.parent / "lib").glob("python*/site-packages")) / "fast"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "other.py").write_text("value = 3\n")
    (package / "k.py").write_text("from .other import value\n" + UNIT)
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    for folder in (root, scratch):
        folder.mkdir()
        (folder / "test_it.py").write_text(
            "from fast.k import which, value\n"
            "def test_it():\n    assert (which(), value) == ('candidate', 3)\n"
        )
    copy = scratch / ".outside" / "k.py"
    copy.parent.mkdir()
    copy.write_text((package / "k.py").read_text().replace("original", "candidate"))
    job = make_job(root, scratch, tmp_path / "out", mode="device", record=False)
    job |= {"unit_file": str(copy), "unit_source": str(package / "k.py")}
    result = run_stage("tests:run", {**job, "nodes": ["test_it.py"]}, python=str(python))
    assert [o["outcome"] for o in result["outcomes"]] == ["passed"], result
    assert result["misplaced"] is None
