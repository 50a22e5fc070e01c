"""Where the installed editors are, and the folder that failures leave their traces in."""

from __future__ import annotations

import os
from pathlib import Path

HOME = Path(os.environ.get("WHET_E2E_HOME") or Path.home() / ".cache" / "whet-e2e")
NODE_BIN = HOME / "node" / "node_modules" / ".bin"
CODE_SERVER = HOME / "code-server" / "node_modules" / ".bin" / "code-server"
VSIX = Path(__file__).parents[2] / "vscode-extension" / "whet.vsix"
TRACES = HOME / "failures"


def nvim_root(release: str) -> Path:
    """The unpacked Debian `release` that holds a Neovim."""
    return HOME / f"nvim-{release}"
