"""Facts, baselines and verdicts to script runs with. `whet_agent.testing.doubles` shows them all."""

from __future__ import annotations

from random import Random

from whet_evaluator.worker.launch_records import Compiled, Counted, Launch
from whet_evaluator.worker.records import (
    Broken,
    Case,
    Correct,
    Device,
    Facts,
    Failed,
    Recorded,
    TestOutcome,
    Timing,
    Untimed,
)

BASELINE_BYTES = 1000
NODE = "tests/test_kernel.py::test_kernel"


def interpreter_facts() -> Facts:
    """A handshake on a machine without a GPU."""
    return _facts(devices=(), mode="interpret")


def device_facts(name: str = "Scripted GPU", arch: str = "gfx942") -> Facts:
    """A handshake on a machine with one GPU."""
    device = Device(name=name, uuid="GPU-0", arch=arch, memory_bytes=64 << 30)
    return _facts(devices=(device,), mode="device")


def baseline(
    *,
    tests: tuple[TestOutcome, ...] = (),
    launches: tuple[Launch, ...] | None = None,
    compiled: tuple[Compiled, ...] = (),
    too_slow: tuple[str, ...] = (),
) -> Recorded:
    """A recorded baseline; by default one green test with one counted launch."""
    return Recorded(
        tests=tests or (passed(),),
        launches=(launch(BASELINE_BYTES),) if launches is None else launches,
        compiled=compiled,
        too_slow=too_slow,
    )


def passed(nodeid: str = NODE) -> TestOutcome:
    return TestOutcome(nodeid=nodeid, outcome="passed", seconds=0.1, kernels=("kernel",))


def red(
    nodeid: str = NODE, detail: str = "assert 1 == 2", uncovered: str | None = None
) -> TestOutcome:
    return TestOutcome(
        nodeid=nodeid, outcome="failed", seconds=0.1, detail=detail, uncovered=uncovered
    )


def launch(loaded_bytes: int, *, transactions: int | None = None) -> Launch:
    """One launch that loads this many bytes."""
    counted = Counted(
        loaded_bytes=loaded_bytes,
        stored_bytes=0,
        atomic_bytes=0,
        compulsory_bytes=min(loaded_bytes, BASELINE_BYTES // 2),
        dot_flops=0,
        programs=1,
        transactions=loaded_bytes if transactions is None else transactions,
    )
    return Launch(kernel="kernel", grid=(1,), arguments=(), nodeid=NODE, counted=counted)


def counted_verdict(loaded_bytes: int, *, compiled: tuple[Compiled, ...] = ()) -> Correct:
    """Correct, untimed, with this much traffic."""
    return Correct(
        tests=(passed(),),
        launches=(launch(loaded_bytes),),
        compiled=compiled,
        timing=Untimed(reason="there is no GPU here"),
    )


def timed_verdict(ratio: float, *, seed: int = 0, noise: float = 0.003) -> Correct:
    """Correct, with raw samples whose true ratio of original to candidate is `ratio`."""
    return Correct(
        tests=(passed(),), launches=(), compiled=(), timing=timing(ratio, seed=seed, noise=noise)
    )


def timing(ratio: float, *, seed: int = 0, noise: float = 0.003) -> Timing:
    """20 rounds of 10 pairs around 100 us with log-normal noise, and quiet controls."""
    random = Random(seed)  # noqa: S311 - repeatable by design

    def rounds(true_ratio: float) -> tuple[tuple[tuple[float, float], ...], ...]:
        return tuple(
            tuple(
                (
                    100.0 * random.lognormvariate(0.0, noise),
                    100.0 / true_ratio * random.lognormvariate(0.0, noise),
                )
                for _ in range(10)
            )
            for _ in range(20)
        )

    case = Case(
        name="case",
        method="events",
        state="warm",
        seed=seed,
        rounds=rounds(ratio),
        control=rounds(1.0),
        slowed=rounds(1 / 1.05),
        slowed_by=0.05,
    )
    return Timing(cases=(case,), environment={"device": "Scripted GPU"})


def broken_verdict(trace: str = "CompilationError: at 3:4") -> Broken:
    return Broken(trace=trace)


def wrong_verdict(detail: str = "assert allclose") -> Failed:
    return Failed(cases=(red(detail=detail),), passed=0)


def _facts(*, devices: tuple[Device, ...], mode: str) -> Facts:
    return Facts(
        python="3.12.1",
        platform="linux",
        host="scripted",
        torch="2.13.0",
        triton="3.9.0",
        pytest="8.3.0",
        devices=devices,
        mode="device" if mode == "device" else "interpret",
        archs=("gfx942", "sm_90"),
        isolation="partial",
    )
