"""Where a project begins when nothing marks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from whet_agent.project import project_root


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """`lib/p/q/k.py`, both of them packages."""
    folder = tmp_path / "lib" / "p" / "q"
    folder.mkdir(parents=True)
    for one in (folder, folder.parent):
        (one / "__init__.py").touch()
    (folder / "k.py").touch()
    return folder


def test_a_file_of_a_package_begins_where_it_is_imported_from(package, tmp_path):
    lib = tmp_path / "lib"
    elsewhere = tmp_path / "other"
    for cwd in (elsewhere, package, package.parent, lib):
        assert project_root(package / "k.py", cwd) == lib


def test_a_working_directory_around_it_counts(package, tmp_path):
    assert project_root(package / "k.py", tmp_path) == tmp_path


def test_a_marker_counts_before_all(package, tmp_path):
    (package / "pyproject.toml").touch()
    assert project_root(package / "k.py", tmp_path) == package


def test_what_is_installed_beside_a_package_is_no_part_of_it(tmp_path):
    folder = tmp_path / "site-packages" / "p" / "q"
    folder.mkdir(parents=True)
    for one in (folder, folder.parent):
        (one / "__init__.py").touch()
    assert project_root(folder / "k.py", tmp_path / "other") == folder.parent
