"""What a repository's `.vscode/settings.json` may set is what its `[tool.whet]` may."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from whet_agent.settings.table import SHORT_NAMES, row_of

MANIFEST = Path(__file__).parents[2] / "vscode-extension" / "package.json"
SETTINGS = json.loads(MANIFEST.read_text())["contributes"]["configuration"]["properties"]


@pytest.mark.parametrize("name", SETTINGS)
def test_what_a_repository_may_not_set_is_no_setting_of_a_workspace(name):
    snake = re.sub("([A-Z])", r"_\1", name.removeprefix("whet.")).lower()
    row = row_of(SHORT_NAMES.get(snake, snake))
    # A workspace may only lower `max_usd`, and a scope cannot say so.
    free = row is not None and row.project and snake != "max_usd"
    assert SETTINGS[name]["scope"] == ("resource" if free else "machine")
