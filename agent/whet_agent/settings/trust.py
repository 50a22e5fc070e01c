"""Which folders a person trusts. Running a project's tests is running its code.

One small file a trusted folder, named by the digest of its path, in Whet's data
folder: two processes can trust at once without a lock. Trusting a folder trusts
everything below it. Nothing is ever written into the folder itself.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import platformdirs

HOW_TO_TRUST = "run `whet trust` here first (or pass --trust, or set WHET_TRUST=1 in CI)"


def is_trusted(root: Path, *, store: Path | None = None) -> bool:
    """Whether `root`, or a folder above it, was trusted. Links are resolved first."""
    folder = store or default_store()
    resolved = root.resolve()
    return any(_holds(folder, place) for place in (resolved, *resolved.parents))


def trust(root: Path, *, store: Path | None = None) -> None:
    """Trusts `root` and everything below it. Raises `OSError` if that cannot be kept."""
    folder = store or default_store()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    resolved = root.resolve()
    _entry(folder, resolved).write_text(f"{resolved}\n", "utf-8")


def distrust(root: Path, *, store: Path | None = None) -> None:
    """Takes `root`'s own trust back; a trusted folder above it still counts."""
    _entry(store or default_store(), root.resolve()).unlink(missing_ok=True)


def trusted_roots(*, store: Path | None = None) -> tuple[Path, ...]:
    """Every trusted folder, sorted."""
    folder = store or default_store()
    if not folder.is_dir():
        return ()
    texts = (entry.read_text("utf-8").strip() for entry in folder.glob("*.folder"))
    return tuple(sorted(Path(text) for text in texts if text))


def default_store() -> Path:
    """Where trust is kept for this person."""
    return platformdirs.user_data_path("whet") / "trusted"


def _entry(folder: Path, root: Path) -> Path:
    return (
        folder
        / f"{hashlib.sha256(str(root).encode('utf-8', 'surrogateescape')).hexdigest()}.folder"
    )


def _holds(folder: Path, root: Path) -> bool:
    try:
        return _entry(folder, root).read_text("utf-8").strip() == str(root)
    except OSError:
        return False
