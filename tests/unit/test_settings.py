"""Settings: five sources, later wins; a bad value costs itself; a repository is untrusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from whet_agent import orders
from whet_agent.settings import trust
from whet_agent.settings.keys import KeyUnavailable, load_key
from whet_agent.settings.loading import Loaded, UnknownTargetError, load_settings
from whet_agent.settings.table import ROWS
from whet_agent.task import Policy


@attrs.frozen
class Home:
    """A person's folders, and one project, below a temporary directory."""

    base: Path

    @property
    def root(self) -> Path:
        return self.base / "project"

    def user(self, text: str) -> None:
        (self.base / "config.toml").write_text(text, "utf-8")

    def project(self, text: str, folder: str = ".") -> Path:
        file = self.root / folder / "pyproject.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        return file

    def load(self, *, env: dict[str, str] | None = None, **given: Any) -> Loaded:
        environ = {"WHET_CONFIG": str(self.base / "config.toml"), **(env or {})}
        return load_settings(
            self.root, given.get("editor"), given.get("flags"),
            path=given.get("path"), environ=environ,
        )  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "project").mkdir()
    return Home(tmp_path.resolve())


def test_nothing_given_is_the_defaults(home: Home) -> None:
    loaded = home.load()
    assert loaded.settings.policy == Policy()
    assert loaded.settings.model is None
    assert list(loaded.settings.targets) == ["local"]
    assert (loaded.problems, loaded.refused, loaded.origins) == ((), (), {})
    assert not loaded.trusted


def test_later_sources_win_and_origins_tell(home: Home) -> None:
    home.user('arch = "gfx90a"\n[policy]\niterations = 1\ntrajectories = 7\nmax_usd = 9')
    home.project('[tool.whet]\narch = "gfx942"\n[tool.whet.policy]\niterations = 2')
    loaded = home.load(
        editor={"trusted": True, "iterations": 3, "policy": {"maxUsd": 1.5}},
        env={"WHET_ITERATIONS": "4", "WHET_ARCH": "gfx950"},
        flags={"iterations": 5, "arch": None},
    )
    assert loaded.problems == ()
    policy = loaded.settings.policy
    assert (policy.iterations, policy.trajectories, policy.max_usd) == (5, 7, 1.5)
    assert loaded.settings.arch == "gfx950"
    assert loaded.origins == {
        "arch": "WHET_*",
        "policy.iterations": "flag",
        "policy.trajectories": str(home.base / "config.toml"),
        "policy.max_usd": "editor",
    }


@pytest.mark.parametrize(
    "spelling",
    [
        {"model": {"name": "m", "baseUrl": "http://localhost:1/v1"}},
        {"model": {"name": "m", "base_url": "http://localhost:1/v1"}},
        {"model": "m", "baseUrl": "http://localhost:1/v1"},
        {"model.name": "m", "model.baseUrl": "http://localhost:1/v1/"},
        {"whet": {"model": "m", "base_url": "http://localhost:1/v1"}},
    ],
)
def test_the_editor_may_spell_in_camel_or_snake_case(home: Home, spelling: dict[str, Any]) -> None:
    loaded = home.load(editor=spelling)
    assert loaded.problems == ()
    model = loaded.settings.model
    assert model is not None
    assert (model.name, model.base_url) == ("m", "http://localhost:1/v1")


def test_targets_merge_by_field_and_host_is_sugar_for_ssh(home: Home) -> None:
    home.user(
        '[targets.Gpu1]\nhost = "gpu1.lab"\nvia = ["docker", "exec", "-i", "rocm"]\n'
        'env = { HIP_VISIBLE_DEVICES = "3", fooBar = "x" }\nsetup = "module load rocm"\n'
        '[targets.near]\nvia = ["sudo", "-u", "me"]'
    )
    loaded = home.load(editor={"targets": {"Gpu1": {"root": "/w", "env": {"fooBar": "y"}}}})
    assert loaded.problems == ()
    target = loaded.settings.find_target("Gpu1")
    assert target.via == ("ssh", "gpu1.lab", "docker", "exec", "-i", "rocm")
    assert (target.root, target.env, target.python) == ("/w", {"fooBar": "y"}, "python3")
    assert target.setup == "module load rocm"
    assert loaded.settings.find_target().name == "local"
    with pytest.raises(UnknownTargetError, match=r"no target `gpu9`; known are Gpu1, local, near"):
        loaded.settings.find_target("gpu9")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[policy\n", ["config.toml is not valid TOML", "line 1", "nothing of it counts"]),
        ("iterations = 'many'", ["config.toml: `policy.iterations`", "whole number", "'many'"]),
        ("iterations = 0", ["at least 1", "not 0"]),
        ("max_usd = -1", ["`policy.max_usd`", "at least 0", "mend or remove"]),
        ("max_usd = nan", ["`policy.max_usd`"]),
        ("share = 'everything'", ["`share` must be `unit`, `file` or `workspace`"]),
        ("iteration = 3", ["`iteration` is not a setting", "did you mean `iterations`?"]),
        ("targets.a.hots = 'b'", ["`targets.a.hots` is not a setting", "host, via, python"]),
        ("targets.a.host = '-oProxyCommand=x'", ["`targets.a.host`", "ssh host"]),
        ("tests = ['../other']", ["`tests`", "inside the project"]),
        ("tests = ['/etc']", ["`tests`", "inside the project"]),
        ("tests = ['--pdb']", ["`tests`", "inside the project"]),
        ("arch = 'mi300'", ["`arch`", "gfx942"]),
        ("base_url = 'http://gpu1:8000/v1'", ["`model.base_url`", "ssh -L 8000:localhost:8000 gpu1"]),
        ("base_url = 'https://me:pw@x.org'", ["a key does not belong in the address"]),
        ("base_url = 'ftp://x'", ["it must begin with https://"]),
        ("[model]\nheaders = { a = 3 }", ["`model.headers` must be a table of headers;"]),
        ("[model]\nkey_command = 'pass show x'", ['["pass", "show", "key"]']),
    ],
)  # fmt: skip
def test_a_bad_value_is_one_sentence_and_the_rest_still_loads(
    home: Home, text: str, parts: list[str]
) -> None:
    home.user(text)
    loaded = home.load(flags={"trajectories": 2})
    assert len(loaded.problems) == 1, loaded.problems
    for part in parts:
        assert part in loaded.problems[0]
    assert "\n" not in loaded.problems[0].strip()
    assert loaded.settings.policy == Policy(trajectories=2)


def test_a_bad_value_leaves_the_one_below_it(home: Home) -> None:
    home.user("iterations = 9")
    loaded = home.load(env={"WHET_ITERATIONS": "lots"})
    assert loaded.settings.policy.iterations == 9
    assert "WHET_*: `policy.iterations`" in loaded.problems[0]


def test_what_the_person_set_and_cannot_be_used_is_unusable_until_a_later_source_mends_it(
    home: Home,
) -> None:
    home.user("max_usd = -1")
    (unusable,) = home.load().unusable
    assert unusable.kind == "user file"
    assert "policy.max_usd" in unusable.sentence
    assert home.load(flags={"max_usd": 3.0}).unusable == ()


def test_an_endpoint_that_is_refused_leaves_no_model_for_another(home: Home) -> None:
    named = {"model": "m", "base_url": "http://gpu1:8000/v1"}
    assert home.load(flags=named).settings.model is None
    assert home.load(editor={"model": "m", "baseUrl": "http://gpu1/v1"}).settings.model is None
    mended = home.load(
        env={"WHET_BASE_URL": "http://gpu1"}, flags={"model": "m", "base_url": "https://a.b/v1"}
    )
    assert mended.settings.model is not None
    assert mended.unusable == ()


def test_a_bad_value_of_a_repository_stops_nothing(home: Home) -> None:
    home.project("[tool.whet]\niterations = 'many'\n")
    loaded = home.load(flags={"trust": True})
    assert len(loaded.problems) == 1
    assert loaded.unusable == ()


def test_unreadable_text_is_a_sentence(home: Home) -> None:
    (home.base / "config.toml").write_bytes(b"\xff\xfe\x00")
    (problem,) = home.load().problems
    assert "not UTF-8" in problem


def test_a_misspelt_variable_is_named(home: Home) -> None:
    (problem,) = home.load(env={"WHET_MAX_USDS": "1", "WHET_SOMETHING_ELSE": "1"}).problems
    assert problem == "WHET_MAX_USDS is not a setting of Whet; did you mean `WHET_MAX_USD`?"


def test_an_untrusted_repository_sets_nothing(home: Home) -> None:
    home.project('[tool.whet]\ntests = ["t.py"]\n[tool.whet.policy]\niterations = 99')
    loaded = home.load()
    assert loaded.settings.tests == ()
    assert loaded.settings.policy == Policy()
    (refused,) = loaded.refused
    assert "not trusted" in refused
    assert "run `whet trust` here first" in refused


FORBIDDEN = {
    "targets.gpu1.host": "evil", "targets.gpu1.via": ["sh", "-c", "x"],
    "targets.local.python": "./evil", "targets.local.setup": "rm", "targets.local.env": {"A": "b"},
    "targets.local.root": "/", "targets.local.device": "auto", "python": "./evil",
    "target": "gpu1", "store": "/x", "share": "workspace", "edits": "stream",
    "model": "m", "model.base_url": "https://evil.example", "model.key_env": "AWS_SECRET",
    "model.key_file": "/etc/shadow", "model.key_command": ["sh"], "model.ca_bundle": "/x",
    "model.headers": {"a": "b"}, "model.query": {"a": "b"}, "model.usd_per_million_input": 0,
    "limits.memory_bytes": 1 << 40, "no_model": False, "max_total_bytes": 1 << 40,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_even_a_trusted_repository_may_not_name(home: Home, name: str) -> None:
    lines = ["[tool.whet]", 'tests = ["tests"]', f"{name} = {_toml(FORBIDDEN[name])}"]
    home.project("\n".join(lines))
    plain = home.load(flags={"trust": True})
    assert plain.trusted
    (refused,) = plain.refused
    assert "a repository may not set it" in refused
    home.project('[tool.whet]\ntests = ["tests"]')
    assert plain.settings == home.load(flags={"trust": True}).settings


def test_every_setting_a_project_may_set_is_harmless() -> None:
    allowed = {name for name, row in ROWS.items() if row.project}
    policy = {f"policy.{field.name}" for field in attrs.fields(Policy)}
    files = {"tests", "benchmarks", "benchmark", "reference", "include", "exclude"}
    assert allowed == {"arch"} | files | policy


def test_a_project_names_its_benchmark_and_what_it_trusts(home: Home) -> None:
    home.project(
        '[tool.whet]\ntests = ["test_k.py"]\nbenchmark = "bench.py::run"\n'
        '[tool.whet.reference]\n"k.py::f" = "truth.py::g"\n"other.py::f" = "truth.py::h"'
    )
    kernel = home.root / "k.py"
    kernel.write_text("import triton\n@triton.jit\ndef k(x):\n    pass\ndef f(x):\n    k[1](x)\n")
    task = orders.build(
        home.load(flags={"trust": True}), home.root, "optimize", kernel, "k",
        text=None, tests=(), overlay={}, target=None, recording=None,
    )  # fmt: skip
    assert task.benchmark == "bench.py::run"
    assert task.references == {"f": "truth.py::g"}
    for bad in ("bench.py", "../bench.py::run", "bench.txt::run"):
        home.project(f'[tool.whet]\nbenchmark = "{bad}"')
        loaded = home.load(flags={"trust": True})
        assert loaded.settings.benchmark is None
        assert "benchmark" in str(loaded.problems)


def test_a_repository_may_only_lower_the_money(home: Home) -> None:
    home.user("max_usd = 2")
    for given, counts in ((100, 2), (0.5, 0.5)):
        home.project(f"[tool.whet.policy]\nmax_usd = {given}")
        assert home.load(flags={"trust": True}).settings.policy.max_usd == counts


def test_the_nearest_project_file_counts_and_its_paths_are_rerooted(home: Home) -> None:
    home.project('[tool.whet]\ntests = ["tests"]\narch = "gfx942"')
    home.project('[tool.whet]\ntests = ["tests/a.py::test_b"]', "libs/one")
    path = home.root / "libs" / "one" / "src" / "k.py"
    loaded = home.load(path=path, flags={"trust": True})
    assert loaded.settings.tests == ("libs/one/tests/a.py::test_b",)
    assert loaded.settings.arch == "gfx942"
    outside = home.load(path=home.base / "elsewhere.py", flags={"trust": True})
    assert outside.settings.tests == ("tests",)


def test_a_project_file_without_our_table_is_silent(home: Home) -> None:
    home.project('[project]\nname = "x"')
    assert home.load().refused == ()
    home.project("[tool]\nwhet = 3")
    assert "write `[tool.whet]`" in home.load().problems[0]


def test_trust_is_kept_for_a_folder_and_what_lies_below(home: Home, tmp_path: Path) -> None:
    assert not trust.is_trusted(home.root)
    trust.trust(home.root)
    assert home.load().trusted
    assert trust.is_trusted(home.root / "libs")
    assert not trust.is_trusted(home.base)
    link = tmp_path / "link"
    link.symlink_to(home.root)
    assert trust.is_trusted(link)
    assert trust.trusted_roots() == (home.root,)
    assert not home.load(editor={"trusted": False}).trusted, "restricted mode overrides"
    trust.distrust(home.root)
    assert not home.load().trusted
    assert list(home.root.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "trusted"),
    [
        ({"env": {"WHET_TRUST": "1"}}, True),
        ({"env": {"WHET_TRUST": "0"}}, False),
        ({"flags": {"trust": True}}, True),
        ({"editor": {"trusted": True}}, True),
        ({"editor": {"trusted": "yes"}}, False),
    ],
)
def test_ways_to_trust(home: Home, given: dict[str, Any], trusted: bool) -> None:
    assert home.load(**given).trusted is trusted


def test_the_local_python_and_why(home: Home) -> None:
    assert home.load(env={"WHET_PYTHON": "~/py"}).settings.find_target().python.endswith("/py")
    conda = home.base / "conda" / "bin" / "python"
    project = home.root / ".venv" / "bin" / "python"
    for python, reason in ((conda, "conda environment"), (project, "project's .venv")):
        python.parent.mkdir(parents=True)
        python.touch()
        loaded = home.load(env={"CONDA_PREFIX": str(home.base / "conda")})
        assert loaded.settings.find_target().python == str(python) == loaded.python.path
        assert reason in loaded.python.reason
    named = home.load(editor={"python": "bin/py"})
    assert named.python.path == str(home.root / "bin" / "py")
    assert named.python.reason == "editor sets `python`"


def test_no_model_turns_a_configured_one_off(home: Home) -> None:
    home.user('model = "m"')
    assert home.load().settings.model is not None
    assert home.load(flags={"no_model": True}).settings.model is None


# ---- keys -------------------------------------------------------------------------------


def test_secrets_never_show_in_text(home: Home) -> None:
    home.user('[model]\nname = "m"\nheaders = { api-key = "s3cret" }\nquery = { t = "s3cret" }')
    loaded = home.load(editor={"apiKey": "s3cret"}, env={"WHET_API_KEY": "s3cret"})
    assert load_key(loaded.keys).reveal() == "s3cret"  # type: ignore[union-attr]
    assert loaded.settings.model is not None
    assert loaded.settings.model.headers["api-key"].get_secret_value() == "s3cret"
    assert "s3cret" not in repr(loaded)
    assert "s3cret" not in repr(loaded.settings.model.choice())


def test_a_moved_endpoint_gets_neither_key_nor_headers(home: Home) -> None:
    key = home.base / "key"
    key.write_text("abc\n")
    key.chmod(0o600)
    home.user(
        f'[model]\nname = "m"\nbase_url = "https://a.example/v1"\nkey_file = "{key}"\n'
        'headers = { x = "y" }'
    )
    assert load_key(home.load().keys).reveal() == "abc"  # type: ignore[union-attr]
    same = home.load(flags={"base_url": "https://a.example/v2"})
    assert load_key(same.keys).reveal() == "abc"  # type: ignore[union-attr]
    moved = home.load(flags={"base_url": "https://b.example/v1"})
    assert moved.settings.model is not None
    assert moved.settings.model.headers == {}
    with pytest.raises(KeyUnavailable, match=r"is for https://a\.example:443.*WHET_API_KEY"):
        load_key(moved.keys)
    own = home.load(flags={"base_url": "https://b.example/v1"}, env={"WHET_API_KEY": "for-b"})
    assert load_key(own.keys).origin == "https://b.example:443"  # type: ignore[union-attr]


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f'{k} = "{v}"' for k, v in value.items()) + " }"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value).replace("'", '"')
