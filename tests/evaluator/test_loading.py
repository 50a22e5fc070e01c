"""What is compiled when, and when not compiling is a verdict."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from whet_evaluator.worker import records
from whet_evaluator.worker.answers import Rejected
from whet_evaluator.worker.codec import to_json
from whet_evaluator.worker.launch_records import Argument, Launch
from whet_evaluator.worker.loading import Loading
from whet_evaluator.worker.stage_ends import Answered


def launch(block: int) -> Launch:
    argument = Argument(name="BLOCK", type="constexpr", value=block)
    return Launch(kernel="k", grid=(1,), arguments=(argument,))


RECORDED, OTHER = (launch(64),), (launch(128),)
CALLS = [{"launcher": "f"}]


def answer(
    launches: tuple[Launch, ...], broken: str | None = None, kernel: str | None = "k"
) -> Any:
    return {
        "compiled": [], "not_compiled": [], "launches": to_json(launches),
        "broken": broken and {"trace": broken, "kernel": kernel},
    }  # fmt: skip


class Stages:
    """Answers as scripted; `asked` has what was to be compiled, or "foretold"."""

    mode, arch = "device", "sm_90"

    def __init__(self, folder: Path, *answers: Any) -> None:
        self.answers, self.asked = list(answers), list[Any]()
        where: Any = SimpleNamespace(scratch=SimpleNamespace(output=str(folder)))
        self.loading = Loading(self, where)  # type: ignore[arg-type]
        self.gate = folder / "compiled"

    async def run(self, stage: str, job: dict[str, Any], where: Any, mode: str) -> Answered:
        assert (stage, mode) == ("load", "compile")
        self.asked.append("foretold" if job.get("calls") else job["launches"])
        return Answered(self.answers.pop(0), {})


async def test_what_was_foretold_is_compiled_once(tmp_path: Path) -> None:
    stages = Stages(tmp_path, answer(OTHER))
    ahead = await stages.loading.ahead(RECORDED, CALLS, [])
    assert stages.gate.exists()
    assert await stages.loading.as_launched(ahead, answer(OTHER)) == ahead
    assert stages.asked == ["foretold"]


async def test_what_was_foretold_wrongly_is_compiled_as_the_tests_launched_it(
    tmp_path: Path,
) -> None:
    stages = Stages(tmp_path, answer(OTHER), answer(RECORDED))
    ahead = await stages.loading.ahead(RECORDED, CALLS, [])
    await stages.loading.as_launched(ahead, answer(RECORDED))
    assert stages.asked == ["foretold", to_json(RECORDED)]


async def test_that_something_foretold_does_not_compile_is_no_verdict(tmp_path: Path) -> None:
    stages = Stages(tmp_path, answer(OTHER, "too large"), answer(RECORDED), answer(RECORDED))
    ahead = await stages.loading.ahead(RECORDED, CALLS, [])
    assert ahead is None
    await stages.loading.as_launched(ahead, answer(RECORDED))
    assert stages.asked == ["foretold", to_json(RECORDED), to_json(RECORDED)]


@pytest.mark.parametrize(
    ("answers", "trace"),
    [
        ([answer(OTHER, "no such name"), answer(RECORDED, "nor here")], "nor here"),
        ([answer(RECORDED, "no such name")], "no such name"),
        ([answer((), "SyntaxError", kernel=None)], "SyntaxError"),
    ],
    ids=["neither compiles", "as the original launched it", "it does not import"],
)
async def test_a_broken_candidate_is_told_at_once(
    tmp_path: Path, answers: list[Any], trace: str
) -> None:
    stages = Stages(tmp_path, *answers)
    with pytest.raises(Rejected) as end:
        await stages.loading.ahead(RECORDED, CALLS, [])
    assert isinstance(end.value.verdict, records.Broken)
    assert end.value.verdict.trace == trace
    assert not stages.answers
    assert stages.gate.exists()
