"""`whet tests FILE::KERNEL --mutants`: what the user's tests would notice."""

from __future__ import annotations

import json

from rich.console import Console

from whet_agent import orders
from whet_agent.app import App
from whet_agent.mutation import JudgedMutant, MutationScore, mutation_score
from whet_agent.project import Selector, UserError
from whet_agent.source.codebase import load_text


async def mutants(app: App, chosen: Selector, *, as_json: bool, console: Console) -> int:
    """Judges mutants and shows each as it comes. Raises `UserError`."""
    kernel = orders.find_kernel(load_text(chosen.path), chosen.path, chosen.kernel)
    task = app.task("optimize", chosen.path, kernel.qualname)

    def on_judged(one: JudgedMutant) -> None:
        if not as_json:
            console.print(line(one), markup=False, soft_wrap=True)

    try:
        async with app.opened(task) as evaluator:
            recorded = await evaluator.record(task.unit, task.tests, lambda _: None)
            if not any(test.outcome == "passed" for test in recorded.tests):
                raise UserError(
                    f"No test of {kernel.qualname} passes on the code as it is, so none can "
                    "catch a mutant; `whet fix` turns red tests green."
                )
            if not recorded.launches:
                raise UserError(
                    f"No test launches {kernel.qualname}; name one in pyproject.toml as "
                    "[tool.whet] tests."
                )
            score = await mutation_score(evaluator, task.unit, recorded, on_judged)
    finally:
        await app.close()
    _show(score, as_json=as_json, console=console)
    return 0


def line(one: JudgedMutant) -> str:
    """One mutant: its place, what is different, and what told it apart."""
    mutant = one.mutant
    if one.caught == "nothing":
        said = f"not told apart: {one.detail or 'perhaps it computes the same'}"
    else:
        said = f"caught by {one.caught}" + (f" ({one.detail})" if one.detail else "")
    return f"line {mutant.line}, {mutant.kind}: {mutant.before} -> {mutant.after}\n    {said}"


def _show(score: MutationScore, *, as_json: bool, console: Console) -> None:
    if as_json:
        console.print(json.dumps(score.as_json()), markup=False, soft_wrap=True)
        return
    console.print(score.sentence(), markup=False, soft_wrap=True)
    missed = [one for one in score.survivors if one.caught != "nothing"]
    if missed:
        console.print("Your tests stay green with these faults:", markup=False)
    for one in missed:
        mutant = one.mutant
        console.print(
            f"  - {mutant.before}\n  + {mutant.after}", markup=False, soft_wrap=True, style="dim"
        )
    for one in score.survivors:
        if one.caught == "nothing":
            console.print(
                f"Not told apart by anything: line {one.mutant.line}, {one.mutant.after}",
                markup=False, soft_wrap=True,
            )  # fmt: skip
