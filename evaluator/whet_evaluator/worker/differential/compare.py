"""One case's runs of the original and of a candidate: equal, or how they differ. Needs torch.

Every rule about numbers stands here, those between runs of one version in `invariants`, every other
in `conduct`. Values are judged against an oracle, all else against what the original did.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from . import elements
from .conduct import Conduct
from .invariants import Invariants
from .outputs import Output, Run
from .tolerance import Errors, allowed, errors, fell_otherwise, is_trusted, scaled_errors, vanished


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What the outputs should be, by role."""

    name: str
    """A `records.Oracle`."""
    outputs: dict[str, Output]


@dataclass
class Finding:
    """How a case came out. `sentence` is empty when the versions agree."""

    sentence: str = ""
    original_error: float | None = None
    candidate_error: float | None = None
    unjudged: str = ""
    """Why no verdict is possible: the case says nothing about the candidate."""
    is_listed: bool = False
    """The sentence is no reason to reject: it is about bits alone, while each run's values are as
    near as they must be, or about where the candidate is right and the original not."""
    watched: str = ""
    """What was seen of the candidate while it ran and not of the original, whatever became of
    their values."""
    oracles: set[str] = field(default_factory=set)

    def note(self, original: Errors, candidate: Errors) -> None:
        self.original_error = max(self.original_error or 0.0, original.largest)
        self.candidate_error = max(self.candidate_error or 0.0, candidate.largest)


class Comparison:
    """`original` and `candidate` map run names to runs; `first` and `again` had equal inputs."""

    def __init__(
        self, torch: Any, original: dict[str, Run], candidate: dict[str, Run],
        truths: list[Truth], conditioning: dict[str, Errors], *, is_finite: bool = False,
    ) -> None:  # fmt: skip
        self._torch = torch
        self._conditioning = conditioning
        self._original = original
        self._candidate = candidate
        self._truths = truths
        self._is_finite = is_finite
        self._better = ""
        """Says where the candidate has numbers and the original none, of inputs that are finite, or
        is right where the original is not."""
        self.finding = Finding()

    def judge(self) -> Finding:
        """The first rule that is broken names the difference."""
        finding, conduct = self.finding, Conduct(self._original, self._candidate)
        finding.sentence = (
            conduct.exceptions() or conduct.holdings(private=False) or conduct.forms()
            or conduct.side_effects() or self._values() or self._invariants()
            or conduct.races() or conduct.hints()
        )  # fmt: skip
        if not finding.sentence:
            finding.sentence = self._better or conduct.holdings(private=True)
            finding.is_listed = bool(finding.sentence)
        finding.watched = conduct.watched()
        return finding

    def by_reference(self) -> str:
        """How the candidate differs from the function that the user trusts, whatever the original
        does; empty where it does not, or nobody named one that ran."""
        trusted = next((t.outputs for t in self._truths if t.name == "reference"), None)
        candidate = self._candidate["first"]
        if trusted is None:
            return ""
        if candidate.raised:
            if _kind(candidate.raised) == _kind(self._original["first"].raised):
                return ""  # a refusal that the original makes as well
            return f"raises {candidate.raised}, where the reference returns"
        nowhere = self._torch.zeros((), dtype=self._torch.bool)
        for got in candidate.outputs:
            known = trusted.get(got.role)
            if known is None:
                continue
            if known.shape != got.shape:
                return (
                    f"{got.role} has shape {list(got.shape)}, the reference's {list(known.shape)}"
                )
            want, again = self._of_original(got, known)
            sentence = self._value(got, want, again, nowhere.expand(got.shape))
            if sentence:
                return sentence
        return ""

    def _of_original(self, got: Output, known: Output) -> tuple[Output, Output]:
        """What the original's two runs made of that output; the reference's where it made none."""
        pair = []
        for name in ("first", "again"):
            made = {o.role: o for o in self._original.get(name, Run()).outputs}.get(got.role)
            if made is None or (made.shape, made.dtype) != (got.shape, got.dtype):
                as_got = replace(got, data=known.data.to(got.data.dtype))
                return as_got, as_got
            pair.append(made)
        return pair[0], pair[1]

    def _invariants(self) -> str:
        between = Invariants(self._torch, self._original, self._candidate, self._conditioning)
        found = between.repeats()
        if found is not None:
            self.finding.is_listed = found.is_noise
            return found.sentence
        return between.other_values(self.finding.candidate_error or 0.0)

    # ---- numbers ----------------------------------------------------------------------

    def _values(self) -> str:
        original, candidate = self._original["first"], self._candidate["first"]
        if candidate.raised:
            return ""
        again = self._original.get("again", original)
        for number, (got, want) in enumerate(zip(candidate.outputs, original.outputs)):
            unwritten = elements.unwritten(self._torch, want, again.outputs[number])
            stale = self._stale(number) & ~unwritten
            if bool(stale.any()):
                return f"{want.role} is left unwritten at {elements.where(stale)}"
            sentence = self._value(got, want, again.outputs[number], unwritten)
            if sentence or self.finding.unjudged:
                return sentence
        return ""

    def _stale(self, number: int) -> Any:
        first, again = self._candidate["first"], self._candidate.get("again")
        made = first.outputs[number]
        if again is None or again.raised or made.dtype == "bool":
            return self._torch.zeros(made.data.shape, dtype=self._torch.bool)
        return elements.unwritten(self._torch, made, again.outputs[number])

    def _value(self, got: Output, want: Output, again: Output, skip: Any) -> str:
        if not got.data.dtype.is_floating_point and not got.data.dtype.is_complex:
            return self._whole_numbers(got, want, again, skip)
        values, first, second = (
            elements.wide(self._torch, o.data, skip) for o in (got, want, again)
        )
        trusted = self._reference(want)
        expected = first if trusted is None else elements.wide(self._torch, trusted.data, skip)
        wrong = elements.special(self._torch, values, expected) & ~elements.special(
            self._torch, second, first
        )
        if bool(wrong.any()):
            against = "the original's value" if trusted is None else "the reference's"
            sentence = elements.at(want.role, wrong, got.data, expected, against)
            torch = self._torch
            if bool((wrong & ~(torch.isfinite(values) & ~torch.isfinite(expected))).any()):
                return sentence
            if trusted is not None or not self._is_finite:
                return sentence
            self._better = sentence  # `_near` looks at what is finite in both
        sentence = self._near(got, want, (values, first, second), skip)
        if sentence and trusted is None and self._is_true(want, values, skip):
            self._better, sentence = sentence, ""
        return sentence

    def _is_true(self, want: Output, values: Any, skip: Any) -> bool:
        """Whether they are what the original computes in float64, to the last bits: then it is the
        original that is far from it."""
        torch, dtype = self._torch, want.data.dtype
        for truth in self._truths:
            known = truth.outputs.get(want.role)
            if truth.name != "float64" or known is None or known.shape != want.shape:
                continue
            wide = elements.wide(torch, known.data, skip)
            exact = allowed(torch, Errors(), n_elements=values.numel(), dtype=dtype)
            apart = errors(torch, values, wide, dtype)
            wrong = elements.special(torch, values, wide) | vanished(
                torch, values, (wide, wide), wide, dtype
            )  # small elements that became zero are no error beside the large ones
            return not bool(wrong.any()) and apart.within(exact)
        return False

    def _near(self, got: Output, want: Output, read: tuple[Any, Any, Any], skip: Any) -> str:
        torch = self._torch
        values, first, second = read
        dtype, n_elements = want.data.dtype, max(1, want.data.numel())
        if dtype.is_complex:
            dtype = torch.float32 if dtype == torch.complex64 else torch.float64
        name, truth, bound = self._bound(want.role, (first, second, skip), dtype)
        if name is None:
            self.finding.unjudged = "the original itself is too far from any oracle"
            return ""
        self.finding.oracles.add(name)
        seen = errors(torch, values, truth, dtype)
        own = errors(torch, first, truth, dtype)
        self.finding.note(own, seen)
        limit = allowed(torch, bound, n_elements=n_elements, dtype=dtype)
        if seen.within(limit):
            lost = vanished(torch, values, (first, second), truth, dtype)
            why = f"{elements.oracle(name)}; small elements became zero"
            return elements.at(want.role, lost, values, truth, why) if bool(lost.any()) else ""
        apart = scaled_errors(torch, values, truth, dtype).nan_to_num(0.0)
        limit_of_element = limit.largest if seen.largest > limit.largest else limit.typical
        wrong = apart > min(limit_of_element, float(apart.max()) * 0.999)
        errs = f"error {elements.ulp(seen)} against {elements.oracle(name)}, the original's {elements.ulp(own)}"
        return elements.at(want.role, wrong, values, truth, errs)

    def _bound(self, role: str, read: tuple[Any, Any, Any], dtype: Any) -> tuple[Any, Any, Errors]:
        """The oracle to use for an output, its values, and the error that is the original's."""
        torch = self._torch
        first, second, skip = read
        moved = self._conditioning.get(role, Errors())
        if not is_trusted(torch, moved, dtype):
            return None, None, Errors()
        for truth in self._truths:
            if role not in truth.outputs:
                continue
            values = elements.wide(self._torch, truth.outputs[role].data, skip)
            if values.shape != first.shape:
                continue
            own = errors(torch, first, values, dtype).worse(errors(torch, second, values, dtype))
            if not bool(elements.special(self._torch, values, first).any()) and is_trusted(
                torch, own, dtype
            ):
                return truth.name, values, own.worse(moved)
            if truth.name == "reference":  # the original is wrong, and says nothing of errors
                return truth.name, values, moved
        noise = errors(torch, second, first, dtype)
        if not is_trusted(torch, noise, dtype):
            return None, None, Errors()
        # The original's own error is in this truth too, so it counts once more.
        seen = noise.worse(moved)
        return "original", first, Errors(1.5 * seen.typical + 1.0, 1.5 * seen.largest + 2.0)

    def _whole_numbers(self, got: Output, want: Output, again: Output, skip: Any) -> str:
        """Exact, but where the original's own rounding decides: noise, or its float64 run."""
        trusted = self._reference(want)
        if trusted is not None:
            self.finding.oracles.add("reference")
            wrong = got.data != trusted.data.to(got.data.dtype)
            return (
                elements.at(want.role, wrong, got.data, trusted.data, "the reference's")
                if bool(wrong.any())
                else ""
            )
        unsure = skip | (want.data != again.data)
        for truth in self._truths:
            known = truth.outputs.get(want.role)
            if known is not None and known.shape == want.shape:
                unsure = unsure | (known.data != want.data)
        self.finding.oracles.add("original")
        wrong = (got.data != want.data) & ~unsure
        if not bool(wrong.any()):
            return ""
        apart = (got.data.to(self._torch.int64) - want.data.to(self._torch.int64)).abs()
        if self._truths and fell_otherwise(self._torch, want.data, apart[wrong]):
            return ""
        return elements.at(want.role, wrong, got.data, want.data, "the original's value")

    def _reference(self, want: Output) -> Output | None:
        """What the user's own reference made of that output, where its shape fits."""
        for truth in self._truths:
            known = truth.outputs.get(want.role)
            if truth.name == "reference" and known is not None and known.shape == want.shape:
                return known
        return None


def _kind(raised: str | None) -> str:
    """The exception's type."""
    return (raised or "").partition(":")[0]
