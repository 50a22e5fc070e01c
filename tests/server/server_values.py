"""Values that runs produce, built small: what a test does not name has a plain default."""

from __future__ import annotations

from typing import Any

import attrs

from whet_agent.evidence import Cost, Environment, Evidence, Hashes, Speedup
from whet_agent.report import Best, RunSummary
from whet_evaluator.worker.launch_records import Counted
from whet_evaluator.worker.records import Correct, TestOutcome, Untimed
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
    """`changes` are fields of the best or of its evidence."""
    plain = {"candidate": "c3", "text": "new", "original_text": "old"}
    own = {name: changes.pop(name) for name in plain if name in changes}
    return Best(**{**plain, **own}, evidence=evidence(speedup=faster, **changes))


def evidence(**changes: Any) -> Evidence:
    hashes = Hashes(
        original="0" * 64, original_unit="1" * 64, candidate="2" * 64, candidate_unit="3" * 64,
        tests={}, configuration={}, helpers={}, data_digest="", n_data=0, manifest="4" * 64,
    )  # fmt: skip
    here = Environment(
        target="local", mode="device", device="AMD Instinct MI300X", arch="gfx942",
        python="3.12.1", torch="2.13.0", triton="3.9.0", whet="1.0", isolation="partial",
        isolation_detail="", settings={},
    )  # fmt: skip
    correct = Correct(
        tests=(outcome_of(),), launches=(), compiled=(), timing=Untimed(reason="no GPU")
    )
    plain = Evidence(
        run="r1", goal="optimize", path="kernels.py", kernel="scale_kernel", candidate="c3",
        label="memory", strategy="One pass.", at=NOW - 7200, how="tested", hashes=hashes,
        environment=here, verdict=correct, stage_s={}, measured=None, speedup=None,
        cost_before=None, cost_after=None, left_out=(),
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
