"""Where a kernel's project begins, and what `FILE::KERNEL` means.

The root is where the user would type `pytest`: relative paths of tests, the files
that are shipped, and `[tool.whet]` all start there.
"""

from __future__ import annotations

from pathlib import Path

import attrs

_MARKERS = ("pyproject.toml", "setup.py", "setup.cfg", "pytest.ini", "tox.ini", ".git")
_INSTALLED = frozenset({"site-packages", "dist-packages"})


class UserError(Exception):
    """`str()` is one sentence with the cure, shown as it is."""


@attrs.frozen
class Selector:
    """`FILE::KERNEL` of the command line; `kernel` None when only a file was named."""

    path: Path
    kernel: str | None

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Raises `UserError` when the file is not there."""
        file, _, kernel = text.partition("::")
        path = Path(file).expanduser().absolute()
        if not path.is_file():
            raise UserError(f"There is no file {file}; name a kernel as FILE::KERNEL.")
        return cls(path, kernel or None)


def project_root(path: Path, cwd: Path | None = None) -> Path:
    """The nearest folder above `path` that a packaging, pytest or git file marks.

    Without a marker: `cwd` when the file lies below it, else the folder that the file is
    imported from, which is its own or the one around its package.
    """
    path = path.absolute()
    for folder in path.parents:
        if any((folder / marker).exists() for marker in _MARKERS):
            return folder
    cwd = (cwd or Path.cwd()).absolute()
    outside = _imported_from(path)
    return cwd if cwd in outside.parents else outside


def _imported_from(path: Path) -> Path:
    """The folder around the file's package; of an installed package the package alone, since
    all that is installed beside it is no part of the project."""
    folder = path.parent
    while (folder / "__init__.py").exists() and folder.parent.name not in _INSTALLED:
        folder = folder.parent
    return folder


def relative_to_root(path: Path, root: Path) -> str:
    """`path` as `UnitRef.path` wants it: relative with `/`, absolute outside the root."""
    try:
        return path.absolute().relative_to(root).as_posix()
    except ValueError:
        return path.absolute().as_posix()
