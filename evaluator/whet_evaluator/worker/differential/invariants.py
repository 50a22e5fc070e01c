"""What must hold between a candidate's own runs: equal inputs give equal outputs, others do not.
Needs torch. Where the original's runs break a rule, the candidate's may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import elements
from .outputs import Output, Run
from .tolerance import FEW, Errors, allowed, errors, is_trusted

_OLD = "the same tensors with new values give the old results"
_GROSS = 1 / 8
_REPEATS = {"again": "at other addresses", "back": "after other values between"}
_REORDERED = " or combined in another order, as a device may"
_TUNED = (
    " and the tuning of a new key, which runs a kernel several times over the same memory"
    " (restore_value or reset_to_zero make up for it)"
)


@dataclass(frozen=True)
class Difference:
    """`is_noise`: by no more than another order of additions may change."""

    sentence: str
    is_noise: bool


class Invariants:
    """Of runs by name, as `compare.Comparison` has them."""

    def __init__(
        self, torch: Any, original: dict[str, Run], candidate: dict[str, Run],
        conditioning: dict[str, Errors],
    ) -> None:  # fmt: skip
        self._torch = torch
        self._original = original
        self._candidate = candidate
        self._conditioning = conditioning

    def repeats(self) -> Difference | None:
        """Equal inputs at other addresses, over other stale memory, and once more, tuned."""
        first = self._candidate["first"]
        for name, how in _REPEATS.items():
            run, expected = self._candidate.get(name), self._original.get(name)
            if run is None or expected is None or run.raised or first.raised:
                continue
            for number in range(min(len(first.outputs), len(run.outputs))):
                found = self._repeated(number, run, expected, how)
                if found is not None:
                    return found
        return None

    def _repeated(self, number: int, run: Run, expected: Run, how: str) -> Difference | None:
        """One output of the first run and of another on equal inputs, beside the original's."""
        torch = self._torch
        a, b = self._candidate["first"].outputs[number], run.outputs[number]
        want, again = self._original["first"].outputs[number], expected.outputs[number]
        wrong = elements.unequal(torch, a, b) & ~elements.unwritten(torch, want, again)
        if not bool(wrong.any()):
            return None
        # Another order of combining rounds otherwise, in the original as well.
        is_noise = self._is_noise(a, b)
        if run.reordered and is_noise:
            return None
        own_noise = run.reordered and self._is_noise(want, again)
        if bool(elements.unequal(torch, want, again).any()) and not own_noise:
            return None
        how += _REORDERED if run.reordered else ""
        how += _TUNED if run.tuned else ""
        at = elements.at(a.role, wrong, b.data, a.data, "the first run")
        return Difference(f"{a.role} is not the same for the same inputs {how}: {at}", is_noise)

    def _is_noise(self, a: Output, b: Output) -> bool:
        """Whether two runs differ by roundings alone, as floats do that atomics add up: by no more
        than any order of additions may change."""
        torch, dtype = self._torch, a.data.dtype
        if not dtype.is_floating_point:
            return False
        nowhere = torch.zeros(a.data.shape, dtype=torch.bool)
        one, two = (elements.wide(torch, o.data, nowhere) for o in (a, b))
        if bool(elements.special(torch, one, two).any()):
            return False
        moved = self._conditioning.get(a.role, Errors())
        seen = moved if is_trusted(torch, moved, dtype) else Errors()
        limit = allowed(torch, seen, n_elements=max(1, a.data.numel()), dtype=dtype)
        return errors(torch, two, one, dtype).within(limit)

    def other_values(self, error: float) -> str:
        """The same tensors with new values: what was kept of the first call shows. `error` is the
        candidate's largest in the first run."""
        run, expected = self._candidate.get("other"), self._original.get("other")
        if run is None or expected is None or run.raised or expected.raised:
            return ""
        if self._original["first"].raised:
            return ""
        for number in range(min(len(run.outputs), len(expected.outputs))):
            sentence = self._kept(number, run.outputs[number], expected.outputs[number], error)
            if sentence:
                return sentence
        return ""

    def _kept(self, number: int, got: Output, want: Output, error: float) -> str:
        """Of one output: the first call's result, or what only a part kept of it can explain."""
        torch = self._torch
        first, before = (
            self._original["first"].outputs[number],
            self._candidate["first"].outputs[number],
        )
        skip = elements.unwritten(torch, first, self._original["again"].outputs[number])
        stale = ~elements.unequal(torch, got, before) & elements.unequal(torch, want, before)
        stale = stale & elements.unequal(torch, got, want) & ~skip
        if not want.data.dtype.is_floating_point:
            if bool((stale & elements.unequal(torch, want, first)).any()):
                at = elements.at(want.role, stale, got.data, want.data, "the original's value")
                return f"{_OLD}: {at}"
            return ""
        values, truth = (elements.wide(torch, o.data, skip) for o in (got, want))
        apart = errors(torch, values, truth, want.data.dtype)
        if apart.largest > 4.0 * error + 64.0 and bool(stale.any()):
            at = elements.at(want.role, stale, got.data, want.data, "the original's value")
            return f"{_OLD}: {at}"
        if self._is_another(apart, want, error):
            wrong = elements.unequal(torch, got, want) & ~skip
            at = elements.at(want.role, wrong, got.data, want.data, "the original's value")
            return f"the same tensors with new values give others than the original: {at}"
        return ""

    def _is_another(self, apart: Errors, want: Output, error: float) -> bool:
        """Whether no rounding explains it: of many elements some are wrong by an eighth of their size,
        where the original's own result is no matter of rounding."""
        if want.data.numel() < FEW:  # what cancels in few sums may be gone entirely
            return False
        moved = self._conditioning.get(want.role, Errors())
        eps = float(self._torch.finfo(want.data.dtype).eps)
        limit = max(4.0 * error + 64.0, _GROSS / eps)
        return is_trusted(self._torch, moved, want.data.dtype) and apart.typical > limit
