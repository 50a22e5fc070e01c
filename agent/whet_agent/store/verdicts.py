"""What a verdict depends on, as one key, so that nothing is evaluated twice across runs.

The key covers the candidate's and the original's text, every file around them (the tests
and their helpers among them), the demanded tests, the target with its packages, devices
and variables, the limits, and the worker's own sources. A changed character in any of
them misses. Recorded launches follow from these and are left out. The seed is not part of it: every evaluation draws its
own, and one verdict is as good as another (`SEED_POLICY` names how they are drawn).

Only a judgement for ranking is ever taken from the store. What is offered is confirmed
afresh, whatever the store says.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from typing import Any

from whet_agent.task import Task
from whet_evaluator import targets
from whet_evaluator.evaluation import Candidate, Shipped
from whet_evaluator.worker.codec import to_json
from whet_evaluator.worker.protocol import Limits
from whet_evaluator.worker.records import (
    Broken,
    Cheated,
    Correct,
    Differs,
    Facts,
    Failed,
    Misplaced,
    WorkerVerdict,
)

SEED_POLICY = "crc32 of run and work"
_REPEATABLE = (Broken, Cheated, Correct, Differs, Failed, Misplaced)
_DERIVED = frozenset({"seed", "launches"})
_FACTS_OF_THE_MOMENT = frozenset({"device_busy", "slow_start"})


def key_of(
    candidate: Candidate, *, task: Task, facts: Facts, shipped: Shipped, limits: Limits
) -> str:
    """A digest of all that the verdict on `candidate` depends on, in hexadecimal."""
    parts: dict[str, Any] = {
        "candidate": {k: v for k, v in _fields(candidate).items() if k not in _DERIVED},
        "root": task.root,
        "seeds": SEED_POLICY,
        "files": _fields(shipped),
        "facts": {k: v for k, v in _fields(facts).items() if k not in _FACTS_OF_THE_MOMENT},
        "target": _fields(task.target),
        "limits": _fields(limits),
        "worker": _worker_digest(),
    }
    written = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(written.encode()).hexdigest()


def is_repeatable(verdict: WorkerVerdict) -> bool:
    """Whether another evaluation would say the same. Crashes and limits may be the moment's."""
    return isinstance(verdict, _REPEATABLE)


def _fields(value: Any) -> dict[str, Any]:
    return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}


@functools.lru_cache(maxsize=1)
def _worker_digest() -> str:
    return hashlib.sha256(targets.bundle()).hexdigest()
