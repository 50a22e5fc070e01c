"""Values that runs produce, built small: what a test does not name has a plain default."""

from __future__ import annotations

from typing import Any

import attrs

from whet_agent.report import Best, Cost, RunSummary, Speedup
from whet_evaluator.worker.records import Counted, TestOutcome
from whet_server.features import Where
from whet_server.views import KernelState, KernelView, Place, RunView, Span, TargetView

NOW = 1_800_000_000.0
URI = "file:///project/kernels.py"


def kernel(**changes: Any) -> KernelView:
    plain = KernelView(
        name="scale_kernel", qualname="scale_kernel", first_line=3, line=4, end_line=8,
        name_span=Span(Place(4, 4), Place(4, 16)), signature="(x_ptr, n, BLOCK: tl.constexpr)",
        launchers=("scale",), digest="now",
    )  # fmt: skip
    return attrs.evolve(plain, **changes)


def speedup(ratio: float = 1.83, *, at: float = NOW - 7200) -> Speedup:
    return Speedup(
        ratio=ratio, low=ratio - 0.04, high=ratio + 0.05, hardware="AMD Instinct MI300X", at=at
    )


def counted(loaded: int) -> Counted:
    return Counted(
        loaded_bytes=loaded, stored_bytes=64, atomic_bytes=0, compulsory_bytes=128, dot_flops=0,
        programs=1, transactions=2,
    )  # fmt: skip


def cost(loaded: int | None, *, vgprs: int | None = None, arch: str | None = "gfx942") -> Cost:
    return Cost(
        counted=None if loaded is None else counted(loaded), vgprs=vgprs, spills=None,
        lds_bytes=None, arch=arch,
    )  # fmt: skip


def outcome_of(outcome: str = "passed", **changes: Any) -> TestOutcome:
    fields = {"nodeid": "tests/test_scale.py::test_scale", "outcome": outcome, "seconds": 0.1}
    return TestOutcome(**{**fields, **changes})


def best(faster: Speedup | None = None, **changes: Any) -> Best:
    plain = Best(
        candidate="c3", text="new", original_text="old", label="memory", strategy="One pass.",
        speedup=faster, cost_before=None, cost_after=None, tests=(outcome_of(),),
    )  # fmt: skip
    return attrs.evolve(plain, **changes)


def summary(**changes: Any) -> RunSummary:
    plain = RunSummary(
        run="r1", goal="optimize", root="/project", path="kernels.py", kernel="scale_kernel",
        digest="now", target="local", arch="gfx942", state="finished", stage="tests", tried=4,
        iterations=20, best=None, tally={}, spent_usd=None, tokens=0, red=(), started_at=NOW - 90,
        updated_at=NOW - 60, reason="iterations", sentence="Keep yours: nothing was better.",
    )  # fmt: skip
    return attrs.evolve(plain, **changes)


def run(**changes: Any) -> RunView:
    plain = RunView(id="r1", goal="optimize", state="finished", fit="before", summary=summary())
    return attrs.evolve(plain, **changes)


def offering(faster: Speedup | None = None, **changes: Any) -> RunView:
    """A finished run with a best."""
    return run(**{"summary": summary(best=best(faster)), **changes})


def state(*runs: RunView, **changes: Any) -> KernelState:
    return KernelState(**{"kernel": kernel(), "runs": runs, **changes})


def where(**changes: Any) -> Where:
    return Where(**{"uri": URI, "version": 7, "target": TargetView(arch="gfx942"), **changes})
