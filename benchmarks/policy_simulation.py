"""How the search policy scales, with a simulated model: no endpoint, no GPU, no user code.

The real `decide` and `apply` run; the model and the evaluator are dice with the stated
probabilities below, on a virtual clock. What comes out says how the *policy* uses turns,
parallel trajectories and money. It says nothing about any real model or kernel, and every
figure is labelled *simulated*.

    python benchmarks/policy_simulation.py [--runs N] [--write]
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

import attrs
from simulated_runs import Dice, simulate

from whet_agent.task import Policy

RESULTS = Path(__file__).parent / "results" / "policy_simulation.md"


def policy(**changes: Any) -> Policy:
    """One call a turn, so that a turn is a reply; the sweep off."""
    base = Policy(optimizer=False, reflection=False, sweep=False, max_completion_tokens=4096)
    return attrs.evolve(base, **changes)


COLUMNS = (
    "found a correct candidate | best ratio, median | best ratio, 90th percentile "
    "| dollars, mean | virtual minutes, median | longest row of debug turns"
)
INTRODUCTION = (
    "Everything on this page is **simulated**: the real `decide` and `apply` ran against dice "
    "on a virtual clock. It shows how the policy spends turns and money, and nothing about any "
    "real model, kernel or GPU. The ratio is cost before over cost after in a unit without "
    "meaning."
)


def table(title: str, name: str, cases: list[tuple[object, Policy]], runs: int) -> list[str]:
    """One line a case: shares, medians and bounds over `runs` seeds."""
    lines = [
        f"## {title} (simulated)",
        "",
        f"| {name} | {COLUMNS} |",
        "|---|---|---|---|---|---|---|",
    ]
    for label, case in cases:
        outcomes = [simulate(case, Dice(), seed) for seed in range(runs)]
        ratios = sorted(outcome.ratio for outcome in outcomes)
        lines.append(
            f"| {label} | {sum(o.found_correct for o in outcomes) / runs:.0%} "
            f"| {statistics.median(ratios):.2f} | {ratios[int(0.9 * (runs - 1))]:.2f} "
            f"| {statistics.fmean(o.usd for o in outcomes):.3f} "
            f"| {statistics.median(o.seconds for o in outcomes) / 60:.1f} "
            f"| {max(o.longest_debug_row for o in outcomes)} |"
        )
    return [*lines, ""]


def budget_table(runs: int) -> list[str]:
    """Eight trajectories at once against small budgets."""
    lines = [
        "## Money is never passed (simulated)",
        "",
        "| `max_usd` | runs | highest spent + reserved at any event | turns, median |",
        "|---|---|---|---|",
    ]
    for max_usd in (0.1, 0.5, 2.0):
        case = policy(iterations=20, trajectories=8, max_usd=max_usd)
        outcomes = [simulate(case, Dice(), seed) for seed in range(runs)]
        highest = max(o.max_committed_usd for o in outcomes)
        assert highest <= max_usd + 1e-9, f"budget {max_usd} passed: {highest}"
        median = statistics.median(o.turns for o in outcomes)
        lines.append(f"| {max_usd} | {runs} | {highest:.4f} | {median:.0f} |")
    return [*lines, ""]


def report(runs: int) -> str:
    """The whole page."""
    dice = Dice()
    sequential = [(n, policy(iterations=n)) for n in (1, 2, 4, 8, 16, 20)]
    parallel = [(k, policy(iterations=4, trajectories=k)) for k in (1, 2, 4, 8, 16)]
    trap = [(n, policy(iterations=20, max_perf_debug_num=n)) for n in (0, 1, 2, 5, 20)]
    lines = [
        "# The search policy with a simulated model",
        "",
        INTRODUCTION,
        "",
        (
            f"Assumed: reply usable {dice.p_usable:.0%}, compiles {dice.p_compiles:.0%}, correct "
            f"given compiles {dice.p_correct_given_compiles:.0%}, fixed by a debug turn "
            f"{dice.p_fixed_given_trace:.0%}; a correct candidate's cost is its parent's divided by "
            f"a log-normal factor (median {dice.gain_median}, sigma {dice.gain_sigma}), never below "
            f"1/{dice.gain_ceiling:g} of the original's. {runs} seeds a line. Made by "
            "`python benchmarks/policy_simulation.py --write`."
        ),
        "",
        *table("Sequential scaling, one trajectory", "iterations", list(sequential), runs),
        *table("Parallel scaling, four iterations each", "trajectories", list(parallel), runs),
        *table("Debug turns in a row, 20 iterations", "`max_perf_debug_num`", list(trap), runs),
        *budget_table(runs),
    ]
    return "\n".join(lines)


def main() -> None:
    """Prints the page, and writes it with `--write`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    page = report(options.runs)
    sys.stdout.write(page)
    if options.write:
        RESULTS.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
