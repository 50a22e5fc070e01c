"""From what a person named to a frozen `Task`, or one sentence why not.

Nothing is run or imported: the file is read as text, tests are found by reading.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from pathlib import Path

import attrs

from whet_agent.model.recorded import CHOICE, RecordedModel
from whet_agent.project import UserError, relative_to_root
from whet_agent.settings.loading import Loaded, UnknownTargetError
from whet_agent.settings.trust import HOW_TO_TRUST
from whet_agent.source.codebase import load_text
from whet_agent.source.testmap import static_tests
from whet_agent.source.units import Kernel, parse_units, unit_digest, unit_of
from whet_agent.task import Goal, ModelChoice, Policy, Task
from whet_evaluator.evaluation import Target


def build(
    loaded: Loaded,
    root: Path,
    goal: Goal,
    path: Path,
    kernel: str | None,
    *,
    text: str | None,
    tests: tuple[str, ...],
    overlay: Mapping[str, str],
    target: str | None,
    recording: RecordedModel | None,
) -> Task:
    """The order for one run. `recording` stands for a model. Raises `UserError`."""
    text = _read(path) if text is None else text
    chosen = find_kernel(text, path, kernel)
    place = relative_to_root(path, root)
    unit = unit_of(text, place, chosen.qualname)
    digest = unit_digest(text, chosen.qualname)
    assert unit is not None
    assert digest is not None
    settings = loaded.settings
    where = _target(loaded, target)
    where = dataclasses.replace(where, arch=where.arch or settings.arch)
    return Task(
        goal=goal,
        root=str(root),
        kernel=chosen.qualname,
        unit=unit,
        digest=digest,
        tests=_tests(loaded, root, goal, path, chosen, text, tests),
        to_fix=tests if goal == "fix" else (),
        references=_references(settings.reference, place),
        benchmark=settings.benchmark,
        target=where,
        arch=where.arch,
        policy=_policy(settings.policy, recording),
        model=_model(loaded, recording),
        overlay=dict(overlay),
    )


def _references(named: Mapping[str, str], place: str) -> dict[str, str]:
    """Those of the settings that name a launcher of the file at `place`, by launcher."""
    pairs = ((*key.partition("::"), value) for key, value in named.items())
    return {launcher: value for file, _, launcher, value in pairs if file == place}


def find_kernel(text: str, path: Path, kernel: str | None) -> Kernel:
    """The kernel by name or qualified name; None means the only one that is launched."""
    kernels = parse_units(text, str(path))
    names = ", ".join(one.qualname for one in kernels)
    if not kernels:
        raise UserError(f"{path.name} holds no @triton.jit kernel; `whet kernels` lists them.")
    if kernel is None:
        launched = [one for one in kernels if not one.helper_of] or list(kernels)
        if len(launched) == 1:
            return launched[0]
        raise UserError(f"{path.name} holds several kernels; name one as FILE::KERNEL: {names}.")
    found = [one for one in kernels if kernel in (one.qualname, one.name)]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(one.qualname for one in found)
        raise UserError(f"{path.name} has several kernels named {kernel}; name one of {several}.")
    near = difflib.get_close_matches(kernel, [one.name for one in kernels], n=1)
    hint = f"did you mean {near[0]}?" if near else f"it has {names}."
    raise UserError(f"There is no kernel {kernel} in {path.name}; {hint}")


def find_tests(root: Path, path: Path, kernel: Kernel, text: str | None = None) -> tuple[str, ...]:
    """Test ids by reading the project. Raises `UserError` when nothing refers to the kernel."""
    overlay = None if text is None else {path.absolute(): text}
    found = static_tests(root, path, kernel.qualname, overlay=overlay)
    if not found:
        raise UserError(
            f"No test below {root} refers to {kernel.name} or its launchers; name one with "
            "--tests, or in pyproject.toml as [tool.whet] tests."
        )
    return found


def _tests(
    loaded: Loaded,
    root: Path,
    goal: Goal,
    path: Path,
    kernel: Kernel,
    text: str,
    named: tuple[str, ...],
) -> tuple[str, ...]:
    """Named tests, else the settings' own, else what reading finds. `fix` runs those besides
    the named ones, since none that passes now may fail later."""
    if named and goal == "optimize":
        return named
    if named:
        others = loaded.settings.tests or static_tests(
            root, path, kernel.qualname, overlay={path.absolute(): text}
        )
        return tuple(dict.fromkeys((*named, *others)))
    return loaded.settings.tests or find_tests(root, path, kernel, text)


def require_target(loaded: Loaded, name: str | None) -> None:
    """Raises `UserError` for a target that the settings do not name."""
    _target(loaded, name)


def untrusted(root: Path) -> str:
    """Why nothing of this folder is run, with the cure."""
    return f"{root} is not trusted, and Whet would run its tests; {HOW_TO_TRUST}."


def _policy(policy: Policy, recording: RecordedModel | None) -> Policy:
    """A recording has no more turns than replies."""
    if recording is None:
        return policy
    return attrs.evolve(policy, iterations=min(policy.iterations, recording.n_replies))


def _model(loaded: Loaded, recording: RecordedModel | None) -> ModelChoice | None:
    model = loaded.settings.model
    if recording is not None:
        return CHOICE
    if model is None:
        return None
    if loaded.settings.policy.max_usd is not None and None in (
        model.usd_per_million_input,
        model.usd_per_million_output,
    ):
        raise UserError(
            f"The price of {model.name} is not known, so --max-usd cannot be kept; set "
            "model.usd_per_million_input and model.usd_per_million_output, or drop the bound."
        )
    return model.choice()


def _target(loaded: Loaded, name: str | None) -> Target:
    try:
        return loaded.settings.find_target(name)
    except UnknownTargetError as error:
        raise UserError(str(error)) from None


def _read(path: Path) -> str:
    try:
        return load_text(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as Python source ({error}).") from None
