"""Every example judged here and through a real sshd: the same verdicts, nothing left there."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from whet_agent.candidates.reply import parse_reply
from whet_agent.source.units import unit_of
from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.evaluation import Candidate, Target, Workspace
from whet_evaluator.worker.protocol import Limits
from whet_evaluator.worker.records import Correct, Failed, Recorded, WorkerVerdict

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
KERNELS = {
    "softmax": "softmax_kernel", "layer_norm": "layer_norm_fwd_kernel", "matmul": "matmul_kernel",
    "flip": "flip_kernel", "rms_norm": "add_rms_norm_kernel", "rotary": "rotary_kernel",
    "dequantize": "dequantize_kernel", "cross_entropy": "cross_entropy_kernel",
    "masked_sum": "masked_sum_kernel", "transpose_scale": "transpose_scale_kernel",
}  # fmt: skip

LIMITS = Limits(differential_cases=6)
"""A number of generated cases, not seconds: both sides must run the same ones."""

_spec = importlib.util.spec_from_file_location("sshd", ROOT / "tests/evaluator/sshd.py")
assert _spec is not None
assert _spec.loader is not None
sshd = importlib.util.module_from_spec(_spec)
sys.modules["sshd"] = sshd
_spec.loader.exec_module(sshd)

pytestmark = pytest.mark.e2e


async def test_identical_verdicts_on_all_examples(tmp_path):
    remote_tmp, cache = tmp_path / "tmp", tmp_path / "cache"
    remote_tmp.mkdir()
    with sshd.running_server(tmp_path / "sshd") as server:
        there = Target(
            name="gpu1", via=server.via(), python=sys.executable,
            setup=f"export TMPDIR={remote_tmp} XDG_CACHE_HOME={cache}",
        )  # fmt: skip
        async with (
            WorkerEvaluator(there) as remote,
            WorkerEvaluator(Target(python=sys.executable)) as local,
        ):
            await remote.open(Workspace(root=EXAMPLES, limits=LIMITS))
            await local.open(Workspace(root=EXAMPLES, limits=LIMITS))
            for name, kernel in KERNELS.items():
                assert await judged(remote, name, kernel) == await judged(local, name, kernel)
    assert list(remote_tmp.iterdir()) == []
    assert not [pid for pid in _processes() if _environment_holds(pid, str(remote_tmp))]
    kept = {path.relative_to(cache).parts[:2] for path in cache.rglob("*") if path.is_file()}
    assert kept == {("whet", "blobs")}


async def judged(evaluator: WorkerEvaluator, name: str, kernel: str) -> list[object]:
    """Baseline and the verdicts on a right and a wrong candidate, without times and paths."""
    path = f"kernels/{name}.py"
    unit = unit_of((EXAMPLES / path).read_text(), path, kernel)
    assert unit is not None
    reply = (EXAMPLES / "recorded" / f"{name}.md").read_text()
    (proposal,) = parse_reply(reply, "stop", unit.text, unit).candidates
    recorded = await evaluator.record(unit, (f"tests/test_{name}.py",), lambda _: None)
    nodes = tuple(test.nodeid for test in recorded.tests if test.outcome == "passed")
    texts = (proposal.text_of_whole_file, unit.text + "\nraise RuntimeError('planted')\n")
    verdicts = [
        await evaluator.evaluate(
            Candidate(unit=unit, text=text, nodes=nodes, launches=recorded.launches, seed=1),
            lambda _: None,
        )
        for text in texts
    ]
    return [_comparable(recorded), *map(_comparable, verdicts)]


def _comparable(what: Recorded | WorkerVerdict) -> object:
    match what:
        case Recorded() | Correct():
            outcomes = [(test.nodeid, test.outcome, test.kernels) for test in what.tests]
            return type(what).__name__, outcomes, what.launches, what.compiled
        case Failed():
            return "Failed", [(case.nodeid, case.outcome) for case in what.cases]
        case _:
            return type(what).__name__


def _processes() -> list[str]:
    return [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _environment_holds(pid: str, text: str) -> bool:
    try:
        return text in Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return False
