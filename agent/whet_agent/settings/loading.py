"""Settings, from five places: user file, `[tool.whet]`, editor, `WHET_*`, flags; later wins.

A value that cannot be used costs itself only: the one below it stays, and a sentence
says what to mend; where the value is the person's own, no run begins before that is done.
**A repository is untrusted**: its `[tool.whet]` may name architectures, tests, benchmarks,
files and policy numbers, never hosts, commands, interpreters, endpoints or keys, and even
those count only in a trusted folder. This is the one module that reads environment variables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import platformdirs
from pydantic import SecretStr

from whet_agent.settings import sources as setting_sources
from whet_agent.settings.interpreters import FoundPython, find_python
from whet_agent.settings.keys import Key, KeySources
from whet_agent.settings.merge import Merged, Unusable, merge
from whet_agent.settings.table import DEFAULT_ENDPOINT, Edits, Share, origin_of
from whet_agent.settings.trust import is_trusted
from whet_agent.task import ModelChoice, Policy
from whet_evaluator.evaluation import Target
from whet_evaluator.worker.protocol import Limits


class UnknownTargetError(LookupError):
    """`str()` is one sentence with the cure."""


@attrs.frozen(kw_only=True)
class ModelSettings:
    """Which model, and how its endpoint is reached. Headers may be secrets: kept hidden."""

    name: str
    base_url: str = DEFAULT_ENDPOINT
    headers: Mapping[str, SecretStr] = attrs.field(factory=dict, repr=False)
    query: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    ca_bundle: str | None = None
    usd_per_million_input: float | None = None
    usd_per_million_output: float | None = None
    timeout_s: float = 300.0

    def choice(self) -> ModelChoice:
        """What the journal may know of it."""
        return ModelChoice(
            name=self.name,
            base_url=self.base_url,
            usd_per_million_input=self.usd_per_million_input,
            usd_per_million_output=self.usd_per_million_output,
        )


@attrs.frozen(kw_only=True)
class Settings:
    """What is in force. `model` None: the sweep alone."""

    policy: Policy
    limits: Limits
    targets: Mapping[str, Target]
    """Always holds `local`."""
    store: Path
    model: ModelSettings | None = None
    target: str = "local"
    arch: str | None = None
    tests: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    benchmark: str | None = None
    reference: Mapping[str, str] = attrs.field(factory=dict)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_file_bytes: int = 5 << 20
    max_total_bytes: int = 64 << 20
    share: Share = "unit"
    edits: Edits = "offer"

    def find_target(self, name: str | None = None) -> Target:
        """The named target, else the default one. Raises `UnknownTargetError`."""
        wanted = name or self.target
        if wanted not in self.targets:
            known = ", ".join(sorted(self.targets))
            raise UnknownTargetError(
                f"There is no target `{wanted}`; known are {known}. "
                f"Add `[targets.{wanted}]` to {user_file()}."
            )
        return self.targets[wanted]


@attrs.frozen(kw_only=True)
class Loaded:
    """Settings with their story: `origins` tells for each given name where it came from.

    `problems` are values that could not be used, `refused` what a repository may not
    set; each a sentence. `unusable` are those of the problems for which no run begins.
    `python` is the local interpreter, with the reason.
    """

    settings: Settings
    origins: Mapping[str, str]
    problems: tuple[str, ...]
    refused: tuple[str, ...]
    unusable: tuple[Unusable, ...]
    trusted: bool
    python: FoundPython
    keys: KeySources


def load_settings(
    root: Path,
    editor: Mapping[str, Any] | None = None,
    flags: Mapping[str, Any] | None = None,
    *,
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Reads and merges everything; `path` is the file whose nearest project file counts.

    Never raises for what it reads. `editor` may hold `apiKey` and `trusted` besides
    settings; `flags` may hold `trust`.
    """
    environ = os.environ if environ is None else environ
    editor, flags = editor or {}, flags or {}
    root = root.resolve()
    trusted = _trusted(root, editor, flags, environ)
    sources = (
        setting_sources.load_user_file(user_file(environ)),
        *setting_sources.load_project_files(root, path),
        setting_sources.editor_source(editor),
        setting_sources.environment_source(environ),
        setting_sources.flag_source(flags),
    )
    merged = merge(sources, root=root, trusted=trusted, user_file=user_file(environ))
    python = _local_python(root, environ, merged)
    return Loaded(
        settings=_build(merged, python),
        origins=merged.origins,
        problems=tuple(merged.problems),
        refused=tuple(merged.refused),
        unusable=tuple(merged.unusable.values()),
        trusted=trusted,
        python=python,
        keys=_key_sources(merged, editor, environ),
    )


def user_file(environ: Mapping[str, str] | None = None) -> Path:
    """The person's file: `$WHET_CONFIG`, else `whet/config.toml` in the config folder."""
    named = (os.environ if environ is None else environ).get("WHET_CONFIG")
    return Path(named) if named else platformdirs.user_config_path("whet") / "config.toml"


def default_store() -> Path:
    """The run store, when settings do not say."""
    return platformdirs.user_data_path("whet") / "runs.sqlite"


def _group(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    start = f"{prefix}."
    return {name.removeprefix(start): v for name, v in values.items() if name.startswith(start)}


def _build(merged: Merged, python: FoundPython) -> Settings:
    values = merged.values
    plain = {
        name: values[name]
        for name in ("target", "arch", "tests", "benchmarks", "benchmark", "reference", "include", "exclude", "share",
                     "edits", "max_file_bytes", "max_total_bytes")
        if name in values
    }  # fmt: skip
    return Settings(
        policy=Policy(**_group(values, "policy")),
        limits=Limits(**_group(values, "limits")),
        targets=_targets(_group(values, "targets"), python),
        store=Path(values["store"]).expanduser() if "store" in values else default_store(),
        model=None if "model.base_url" in merged.unusable else _model(values),
        **plain,
    )


def _model(values: Mapping[str, Any]) -> ModelSettings | None:
    model = {k: v for k, v in _group(values, "model").items() if not k.startswith("key_")}
    if "name" not in model or values.get("no_model", False):
        return None
    return ModelSettings(**model)


def _targets(values: Mapping[str, Any], python: FoundPython) -> dict[str, Target]:
    tables: dict[str, dict[str, Any]] = {"local": {}}
    for name, value in values.items():
        target, field = name.split(".", 1)
        tables.setdefault(target, {})[field] = value
    return {name: _target(name, table, python) for name, table in tables.items()}


def _target(name: str, table: Mapping[str, Any], python: FoundPython) -> Target:
    """`host` is sugar for ssh; with `via` too, `via` is started on that host."""
    fields = dict(table)
    host = fields.pop("host", None)
    via = (("ssh", host) if host else ()) + tuple(fields.pop("via", ()))
    if not via:
        fields.setdefault("python", python.path)
    return Target(name=name, via=via, **fields)


def _local_python(root: Path, environ: Mapping[str, str], merged: Merged) -> FoundPython:
    """An interpreter that is named counts as it is; `~` and paths from the root are resolved."""
    for name in ("targets.local.python", "python"):
        if name in merged.values:
            named = str(Path(merged.values[name]).expanduser())
            path = str(root / named) if os.sep in named else named
            merged.values["targets.local.python"] = path
            return FoundPython(path=path, reason=f"{merged.origins[name]} sets `{name}`")
    return find_python(root, environ)


def _trusted(
    root: Path, editor: Mapping[str, Any], flags: Mapping[str, Any], environ: Mapping[str, str]
) -> bool:
    """An editor in restricted mode overrides what was trusted before."""
    if flags.get("trust") or environ.get("WHET_TRUST", "").lower() in {"1", "true", "yes"}:
        return True
    if isinstance(told := editor.get("trusted"), bool):
        return told
    return is_trusted(root)


def _key_sources(
    merged: Merged, editor: Mapping[str, Any], environ: Mapping[str, str]
) -> KeySources:
    values = merged.values
    base_url = values.get("model.base_url", DEFAULT_ENDPOINT)
    origin = origin_of(base_url)
    variable = values.get("model.key_env")
    secret = editor.get("apiKey") or editor.get("api_key")
    bound = {"WHET_API_KEY": origin, "OPENAI_API_KEY": origin_of(DEFAULT_ENDPOINT)}
    if variable is not None:
        bound[variable] = origin
    return KeySources(
        base_url=base_url,
        editor=Key(secret, origin=origin) if isinstance(secret, str) and secret else None,
        environment={
            name: Key(environ[name], origin=where)
            for name, where in bound.items()
            if environ.get(name)
        },
        variable=variable,
        file=values.get("model.key_file"),
        command=values.get("model.key_command", ()),
        has_headers=bool(values.get("model.headers")),
        refused=merged.key_moved,
    )
