"""The loop with the real prompts, replies, screen and sweep; model and evaluator scripted."""

from __future__ import annotations

import asyncio

import attrs

from whet_agent import roles, wiring
from whet_agent.drive import create, drive
from whet_agent.events import Proposed, Rejected
from whet_agent.loop_ports import Ports
from whet_agent.roles.context import Context
from whet_agent.roles.optimizer import parse_strategies
from whet_agent.search.briefing import Brief
from whet_agent.search.state import confirmed_best
from whet_agent.source.excerpt import excerpt
from whet_agent.source.units import unit_digest, unit_of
from whet_agent.store.journal import Journal
from whet_agent.task import ModelChoice, Policy, Task
from whet_agent.testing.doubles import (
    ManualClock,
    ScriptedEvaluator,
    ScriptedModel,
    broken_verdict,
    counted_verdict,
    wrong_verdict,
)
from whet_evaluator.evaluation import Target

KERNEL = """\
import torch
import triton
import triton.language as tl


@triton.jit
def double_kernel(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    pid = tl.program_id(0)
    offsets = pid * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    x = tl.load(x_ptr + offsets, mask=mask)
    again = tl.load(x_ptr + offsets, mask=mask)
    tl.store(y_ptr + offsets, x + again, mask=mask)


def double(x):
    y = torch.empty_like(x)
    n = x.numel()
    double_kernel[(triton.cdiv(n, 1024),)](x, y, n, BLOCK=1024)
    return y


def untouched():
    return "the rest of the file"
"""


def reply(body: str, *, words: str = "load once", signature: str = "x_ptr, y_ptr, n") -> str:
    return (
        f"Strategy (memory): {words}\n\n```python\n@triton.jit\n"
        f"def double_kernel({signature}, BLOCK: tl.constexpr):\n"
        "    pid = tl.program_id(0)\n"
        "    offsets = pid * BLOCK + tl.arange(0, BLOCK)\n"
        "    mask = offsets < n\n"
        f"    {body}\n"
        "```\n"
    )


RIGHT = reply(
    "x = tl.load(x_ptr + offsets, mask=mask)\n    tl.store(y_ptr + offsets, x * 2, mask=mask)"
)
WRONG = reply(
    "x = tl.load(x_ptr + offsets, mask=mask)\n    tl.store(y_ptr + offsets, x * 3, mask=mask)"
)
BROKEN = reply("x = tl.no_such_thing(x_ptr)\n    tl.store(y_ptr + offsets, x, mask=mask)")
UNPARSABLE = reply("x = = 1")
RENAMED = reply("tl.store(y + offsets, 1, mask=mask)").replace(
    "def double_kernel", "def other_kernel"
)

VERDICTS = {
    "x * 2": counted_verdict(500),
    "x * 3": wrong_verdict("Mismatched elements: 100%"),
    "no_such_thing": broken_verdict("AttributeError: no_such_thing"),
}


def order(**policy) -> Task:
    unit = unit_of(KERNEL, "kernels.py", "double_kernel")
    digest = unit_digest(KERNEL, "double_kernel")
    assert unit is not None
    return Task(
        goal="optimize",
        root="/project",
        kernel="double_kernel",
        unit=unit,
        digest=digest or "",
        tests=("test_kernels.py",),
        target=Target(),
        arch="gfx942",
        policy=attrs.evolve(Policy(optimizer=False, reflection=False, sweep=False), **policy),
        model=ModelChoice(name="scripted", base_url="http://127.0.0.1"),
    )


def real_brief(task: Task) -> Brief:
    def cut(text: str) -> str:
        return excerpt(text, kernel=task.kernel)

    return Brief(
        template=lambda _search: Context(
            goal=task.goal,
            kernel=task.kernel,
            path=task.unit.path,
            unit_text=cut(task.unit.text),
            launchers=task.unit.launchers,
        ),
        excerpt=cut,
        messages=roles.messages,
        parse_strategies=parse_strategies,
    )


async def run(tmp_path, task: Task, model: ScriptedModel):
    journal = Journal(tmp_path / "runs.sqlite3")
    evaluator = ScriptedEvaluator(VERDICTS)
    ports = Ports(
        evaluator=evaluator,
        journal=journal,
        brief=real_brief(task),
        read_reply=wiring.read_reply,
        screen=wiring.screen_text,
        sweep=wiring.sweep_drafts,
        model=model,
        clock=ManualClock(),
    )
    await create("r1", task, ports)
    search = await drive("r1", ports, cancel=asyncio.Event())
    events = journal.load_events("r1")
    journal.close()
    return search, events, evaluator


async def test_real_replies_from_broken_to_right(tmp_path):
    model = ScriptedModel([UNPARSABLE, BROKEN, WRONG, RENAMED, RIGHT, RIGHT])
    search, events, evaluator = await run(tmp_path, order(iterations=6), model)
    best = confirmed_best(search)
    assert best is not None
    assert "x * 2" in best.text
    assert 'return "the rest of the file"' in best.text
    assert best.strategy == "load once"
    assert len(evaluator.judged) == 3, "unusable replies and repeats cost no evaluation"
    reasons = [event.reason for event in events if isinstance(event, Rejected)]
    assert len(reasons) == 3
    assert "one already tried" in reasons[-1]
    told = ["\n".join(message.content for message in prompt) for prompt in model.prompts]
    assert "AttributeError: no_such_thing" in told[2]
    assert "Mismatched elements: 100%" in told[3]
    assert "500 bytes counted" in told[5]


async def test_every_role_speaks_with_its_real_prompt(tmp_path):
    model = ScriptedModel(
        ["Strategy (memory): load every element once.", RIGHT, "Loading once halves it.", RIGHT]
    )
    search, _, _ = await run(tmp_path, order(iterations=2, optimizer=True, reflection=True), model)
    told = ["\n".join(message.content for message in prompt) for prompt in model.prompts]
    assert "load every element once." in told[1]
    assert "500 bytes counted" in told[2]
    assert "Loading once halves it." in told[3]
    assert len(search.trajectories[0].turns) == 2


async def test_the_real_sweep_proposes_launch_parameters(tmp_path):
    model = ScriptedModel([RIGHT])
    search, events, _ = await run(tmp_path, order(iterations=1, sweep=True), model)
    swept = [e for e in events if isinstance(e, Proposed) and e.origin == "sweep"]
    assert swept
    assert len({event.text for event in swept}) == len(swept)
    assert search.swept
