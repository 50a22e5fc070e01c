"""Keys: where they come from, and to whom they go."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from whet_agent.settings.keys import Key, KeySources, KeyUnavailable, load_key

FAR = "https://api.example/v1"
NEAR = "http://127.0.0.1:8000/v1"


def keys(**given: str) -> dict[str, Key]:
    return {name: Key(value, origin="https://api.example:443") for name, value in given.items()}


def check(expect: str | None, base_url: str = FAR, **sources: Any) -> None:
    """The key that these sources give, or a piece of the sentence that refuses."""
    given = KeySources(base_url=base_url, **sources)
    if expect is not None and " " in expect:
        with pytest.raises(KeyUnavailable) as caught:
            load_key(given)
        assert expect in str(caught.value)
        return
    key = load_key(given)
    assert (key.reveal() if key else None) == expect
    assert key is None or key.origin == "https://api.example:443"


def test_the_order() -> None:
    environment = keys(MINE="m", WHET_API_KEY="w", OPENAI_API_KEY="o")
    editor = Key("e", origin="https://api.example:443")
    check("e", editor=editor, environment=environment, variable="MINE")
    check("m", environment=environment, variable="MINE", command=("false",))
    check("w", environment=keys(WHET_API_KEY="w", OPENAI_API_KEY="o"))
    check("o", environment=keys(OPENAI_API_KEY="o"))


def test_none_needed_on_this_machine_or_with_headers() -> None:
    check(None, base_url=NEAR)
    check(None, has_headers=True)
    check("No key for https://api.example:443: set WHET_API_KEY")


def test_a_key_for_another_origin_is_not_sent() -> None:
    other = {"OPENAI_API_KEY": Key("o", origin="https://api.openai.com:443")}
    check("No key for", environment=other)
    check(None, base_url=NEAR, environment=other)


def test_a_named_variable_that_is_unset_is_said() -> None:
    check("names MINE, which is not set", variable="MINE", environment=keys(WHET_API_KEY="w"))


def test_key_files(tmp_path: Path) -> None:
    file = tmp_path / "key"
    check("cannot be read (No such file", file=str(file))
    file.write_text("sk-1\n")
    file.chmod(0o644)
    check("chmod 600", file=str(file))
    file.chmod(0o600)
    check("sk-1", file=str(file))
    file.write_text("two words")
    check("more than one word", file=str(file))
    file.write_text("")
    check("gave nothing", file=str(file))


def test_key_commands() -> None:
    python = (sys.executable, "-c")
    check("sk-2", command=(*python, "print('sk-2')"))
    check("ended with status 3", command=(*python, "raise SystemExit(3)"))
    check("did not run", command=("/nowhere/pass", "show"))


def test_a_key_hides_itself() -> None:
    key = Key("sk-secret", origin="https://a:443")
    assert "sk-secret" not in f"{key!r} {key!s} {key}"
    with pytest.raises(TypeError, match="not stored"):
        pickle.dumps(key)
