"""What is sent to a target: git's view or gitignore's, never a key, never too much."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Workspace
from whet_evaluator.files import load_manifest

TREE = {
    "kernel.py": "k",
    "pkg/__init__.py": "",
    "pkg/ops.py": "ops",
    "tests/test_kernel.py": "t",
    "notes.log": "ignored",
    "build/out.py": "ignored",
    "pkg/cache.tmp": "ignored below",
    ".gitignore": "*.log\nbuild/\n",
    "pkg/.gitignore": "*.tmp\n",
    ".env": "SECRET=1",
    ".env.local": "SECRET=2",
    "id_rsa": "x",
    "certs/server.pem": "x",
    "certs/server.key": "x",
    "hidden.txt": "-----BEGIN OPENSSH PRIVATE KEY-----\n",
    "pkg/__pycache__/ops.cpython-311.pyc": "x",
    "id_map.py": "code, not a key",
}
KEPT = [
    ".gitignore", "id_map.py", "kernel.py", "pkg/.gitignore", "pkg/__init__.py", "pkg/ops.py",
    "tests/test_kernel.py",
]  # fmt: skip


def grow(root: Path, tree: dict[str, str]) -> None:
    for name, text in tree.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def paths(workspace: Workspace) -> list[str]:
    return [entry.path for entry in load_manifest(workspace).entries]


def git(root: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-C", root, "-c", "user.name=n", "-c", "user.email=e@e", *arguments], check=True
    )


@pytest.mark.parametrize("with_git", [True, False])
def test_both_ways_of_listing_agree(tmp_path, with_git):
    grow(tmp_path, TREE)
    if with_git:
        git(tmp_path, "init", "-q")
        git(
            tmp_path, "add", "kernel.py", "certs", "-f", ".env", "id_rsa"
        )  # tracked, yet never sent
    manifest = load_manifest(Workspace(root=tmp_path))
    assert [entry.path for entry in manifest.entries] == KEPT
    assert manifest.left_out == ("hidden.txt (it holds a private key)",)


def test_a_folder_below_the_top_of_a_repository(tmp_path):
    grow(tmp_path, {"a/x.py": "", "b/y.py": ""})
    git(tmp_path, "init", "-q")
    assert paths(Workspace(root=tmp_path / "a")) == ["x.py"]


def test_deleted_and_submodule_files(tmp_path):
    inner = tmp_path / "inner"
    grow(inner, {"lib.py": "lib"})
    git(inner, "init", "-q")
    git(inner, "add", ".")
    git(inner, "commit", "-qm", "c")
    outer = tmp_path / "outer"
    grow(outer, {"gone.py": "", "here.py": ""})
    git(outer, "init", "-q")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    git(outer, "add", ".")
    (outer / "gone.py").unlink()
    manifest = load_manifest(Workspace(root=outer))
    assert [e.path for e in manifest.entries] == [".gitmodules", "here.py", "sub/lib.py"]
    assert manifest.left_out == ()


def test_include_brings_ignored_files_but_no_key(tmp_path):
    grow(tmp_path, TREE)
    found = paths(Workspace(root=tmp_path, include=("*.log", ".env", "certs/**")))
    assert found == sorted([*KEPT, "notes.log"])


def test_exclude_takes_away(tmp_path):
    grow(tmp_path, TREE)
    found = paths(Workspace(root=tmp_path, exclude=("tests/",)))
    assert found == [path for path in KEPT if not path.startswith("tests/")]


def test_a_configured_fsmonitor_program_is_not_run(tmp_path):
    grow(tmp_path, {"kernel.py": "k"})
    git(tmp_path, "init", "-q")
    ran = tmp_path / "ran"
    hook = tmp_path / "hook.sh"
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    git(tmp_path, "config", "core.fsmonitor", str(hook))
    load_manifest(Workspace(root=tmp_path))
    assert not ran.exists()


def test_the_excess_is_named(tmp_path):
    grow(tmp_path, {"kernel.py": "k" * 100, "weights.bin": "w" * 5000, "more.bin": "m" * 600})
    manifest = load_manifest(Workspace(root=tmp_path, max_file_bytes=4000, max_total_bytes=650))
    assert [entry.path for entry in manifest.entries] == ["kernel.py"]
    assert [reason.split(" (")[0] for reason in manifest.left_out] == ["more.bin", "weights.bin"]


def test_links_stay_inside(tmp_path):
    (tmp_path / "secret.txt").write_text("outside")
    root = tmp_path / "project"
    grow(root, {"real.py": "code", ".env": "SECRET=1"})
    (root / "alias.py").symlink_to("real.py")
    (root / "out.py").symlink_to(tmp_path / "secret.txt")
    (root / "env.py").symlink_to(".env")
    (root / "loop.py").symlink_to("loop.py")
    manifest = load_manifest(Workspace(root=root))
    assert [entry.path for entry in manifest.entries] == ["alias.py", "real.py"]
    assert [text.split(" (")[0] for text in manifest.left_out] == ["env.py", "loop.py", "out.py"]


def test_unsaved_buffers_count_instead_of_the_file(tmp_path):
    grow(tmp_path, {"kernel.py": "saved"})
    overlay = {"kernel.py": "unsaved\r\n", "new.py": "é"}
    manifest = load_manifest(Workspace(root=tmp_path, overlay=overlay))
    contents = {entry.path: manifest.content(entry.sha256) for entry in manifest.entries}
    assert contents == {"kernel.py": b"unsaved\r\n", "new.py": "é".encode()}


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.py", "a/../../x.py", "", "a\\b.py", "a\0b"])
def test_paths_that_leave_are_refused(tmp_path, path):
    with pytest.raises(EvaluatorError, match="leaves the project"):
        load_manifest(Workspace(root=tmp_path, overlay={path: ""}))


def test_a_file_changed_since_is_said(tmp_path):
    grow(tmp_path, {"kernel.py": "before"})
    manifest = load_manifest(Workspace(root=tmp_path))
    (tmp_path / "kernel.py").write_text("after")
    with pytest.raises(EvaluatorError, match="changed while") as caught:
        manifest.content(manifest.entries[0].sha256)
    assert caught.value.retryable


def test_no_folder(tmp_path):
    with pytest.raises(EvaluatorError, match="is not a folder"):
        load_manifest(Workspace(root=tmp_path / "nowhere"))
