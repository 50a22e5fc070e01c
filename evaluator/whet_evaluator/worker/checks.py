"""What is looked at once the clock has stopped: outputs, speed, and the process itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .clock import Clock
from .differential.tolerance import fell_otherwise
from .returned import tensors_in
from .rotation import values

ALIKE, ALIKE_OF_FEW = 0.05, 8.0
"""How far shares and sizes of drawn tensors may lie apart; the second by the root of their number."""
WORK_AFTER_US = 20.0
WORK_AFTER_SHARE = 0.1
"""More than both of these, in the median beyond the original's: work that outlives the clock."""


class DiffersError(Exception):
    """The versions' outputs differ on the timed inputs; `str()` says by how much."""


class CheatedError(Exception):
    """Seen not to do the work that was timed: a reason of few words, and what was seen."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def left_behind(made: list[Any], inputs: Any) -> list[Any]:
    """All that a call leaves behind: what it returned, then its inputs as they are now."""
    return [*made, *tensors_in(values(inputs))]


class UnsteadyError(Exception):
    """The original is not the same twice, so nothing can be compared with it."""


def differs(
    clock: Clock, left: list[Any], wanted: list[Any], *, roughly: Sequence[int] = ()
) -> None:
    """Raises `DiffersError` unless a call left behind what it must have; the tensors numbered
    `roughly` something of that kind."""
    if len(left) != len(wanted):
        raise DiffersError(f"a call leaves {len(left)} tensors instead of {len(wanted)}")
    for number, (got, want) in enumerate(zip(left, wanted)):
        (_alike if number in roughly else compare)(clock, number, got, want)


def apart(clock: Clock, left: list[Any], wanted: list[Any]) -> tuple[int, ...]:
    """Numbers of the tensors that differ; all of them where there are more or fewer."""
    if len(left) != len(wanted):
        return tuple(range(len(wanted)))
    found = []
    for number, (got, want) in enumerate(zip(left, wanted)):
        try:
            compare(clock, number, got, want)
        except DiffersError:
            found.append(number)
    return tuple(found)


def _alike(clock: Clock, number: int, got: Any, want: Any) -> None:
    """For what was drawn anew: of one form, and by as many zeros, numbers that are none and by the
    size of the others what another drawing makes. Raises `DiffersError`."""
    _of_one_form(number, got, want)
    n = want.numel()
    if not n:
        return
    slack = ALIKE + ALIKE_OF_FEW / n**0.5
    a, b = (_kind_of(clock, tensor) for tensor in (got, want))
    for what, mine, theirs, unit in zip(("zeros", "numbers", "size"), a, b, (1.0, 1.0, b[2])):
        if abs(mine - theirs) > slack * unit:
            raise DiffersError(
                f"output {number} is of another kind: {what} {mine:.3g} instead of {theirs:.3g}"
            )


def _kind_of(clock: Clock, tensor: Any) -> tuple[float, float, float]:
    """Shares of zeros and of finite numbers, and the mean size of those."""
    wide = tensor.detach().double()
    finite = clock.isfinite(wide)
    size = float(wide[finite].abs().mean()) if bool(finite.any()) else 0.0
    return float((wide == 0).double().mean()), float(finite.double().mean()), size


def compare(clock: Clock, number: int, got: Any, want: Any) -> None:
    """Loose on purpose: rounding is the tests' business, a skipped computation is ours.
    Raises `DiffersError`."""
    _of_one_form(number, got, want)
    if not want.numel():
        return
    exact = not want.dtype.is_floating_point
    a, b = got.detach().double(), want.double()
    if exact and fell_otherwise(clock.torch, want, (a - b).abs()[a != b]):
        return
    coarse = want.dtype.is_floating_point and want.dtype.itemsize <= 2
    tolerance = 0.0 if exact else (0.05 if coarse else 0.01)
    finite = clock.isfinite(b)
    scale = float(b[finite].abs().mean()) if bool(finite.any()) else 0.0
    close = clock.isclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
    if not bool(close.all()):
        share = 100.0 * float((~close).double().mean())
        raise DiffersError(f"output {number} differs in {share:.3g} % of its elements")


def _of_one_form(number: int, got: Any, want: Any) -> None:
    if type(got) is not type(want):
        raise DiffersError(
            f"output {number} is a {type(got).__name__} instead of a {type(want).__name__}"
        )
    if got.shape != want.shape or got.dtype != want.dtype:
        raise DiffersError(
            f"output {number} is {got.dtype}{list(got.shape)} instead of "
            f"{want.dtype}{list(want.shape)}"
        )


def judge_after(after_us: dict[int, float], sample_us: float) -> None:
    """Raises `CheatedError` where the candidate's work outlives its clock, the original's not."""
    original, candidate = after_us.get(0, 0.0), after_us.get(1, 0.0)
    beyond = candidate - original
    if beyond > max(WORK_AFTER_US, WORK_AFTER_SHARE * sample_us):
        raise CheatedError(
            "work after the clock",
            f"after the clock had stopped the device went on for {candidate:.0f} us in the median"
            f" sample, with the original for {original:.0f} us: work on another stream that the"
            " launcher does not wait for",
        )


def judge_speed(call_us: float, floor: float | None) -> None:
    """Raises `CheatedError` for what cannot have been done in the time."""
    if floor is not None and call_us < floor:
        raise CheatedError(
            "faster than the memory",
            f"a call takes {call_us:.2f} us, but reading and writing what it must takes at least "
            f"{floor:.2f} us on the fastest device of this architecture",
        )


def judge_process(clock: Clock, own_file: str, n_threads: int) -> None:
    """Raises `CheatedError` for replaced functions and for threads that were left behind."""
    patched = clock.patched(own_file)
    if patched is not None:
        raise CheatedError("patched clock or comparison", f"{patched} was replaced")
    more = clock.n_python_threads() - n_threads
    if more > 0:
        raise CheatedError(
            "work after the clock",
            f"{more} more Python thread(s) run after timing than before it",
        )
