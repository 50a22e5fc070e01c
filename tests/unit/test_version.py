"""One version, wherever it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_command_the_package_and_the_extension_agree():
    said = subprocess.run(
        [sys.executable, "-m", "whet_server", "--version"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    extension = json.loads((ROOT / "vscode-extension/package.json").read_text())
    assert said == f"whet {version('whet')}\n"
    assert extension["version"] == version("whet")
