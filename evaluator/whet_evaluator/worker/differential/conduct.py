"""What a candidate did other than the original, numbers apart. Pure; each rule is a sentence,
empty where nothing is to be said."""

from __future__ import annotations

from . import elements
from .holdings import NEW, PRIVATE
from .outputs import Output, Run


class Conduct:
    """`original` and `candidate` map run names to runs; each of a candidate's is one of both."""

    def __init__(self, original: dict[str, Run], candidate: dict[str, Run]) -> None:
        self._original = original
        self._candidate = candidate

    def watched(self) -> str:
        """What was seen of the candidate while it ran, whatever became of its values."""
        if any(run.raised for run in self._candidate.values()):
            return ""
        return self._strays() or self.races() or self.hints()

    def exceptions(self) -> str:
        for name, run in self._candidate.items():
            expected = self._original[name]
            if run.raised and not expected.raised:
                return f"raises {run.raised}, where the original returns"
            if expected.raised and not run.raised:
                return f"returns, where the original raises {expected.raised}"
            if expected.raised and run.raised and _kind(run.raised) != _kind(expected.raised):
                return f"raises {run.raised}, where the original raises {expected.raised}"
        return ""

    def forms(self) -> str:
        for name, run in self._candidate.items():
            expected = self._original[name]
            if run.raised:
                continue
            if run.structure != expected.structure:
                return f"returns {run.structure}, where the original returns {expected.structure}"
            for got, want in zip(run.outputs, expected.outputs):
                if sentence := self._form(got, want):
                    return sentence
            if len(run.outputs) != len(expected.outputs):
                roles = {o.role for o in run.outputs} ^ {o.role for o in expected.outputs}
                return f"only one version makes {', '.join(sorted(roles))}"
            if not elements.alike(run.plain, expected.plain):
                return f"returns {elements.short(run.plain)}, where the original returns {elements.short(expected.plain)}"
        return ""

    def _form(self, got: Output, want: Output) -> str:
        """Type, shape, whose memory; of what the launcher returned also how it lies there."""
        if (got.dtype, got.shape, got.type) != (want.dtype, want.shape, want.type):
            return f"{want.role} is {elements.form(got)}, where the original's is {elements.form(want)}"
        if got.shares != want.shares:
            return f"{want.role} {elements.sharing(got)}, where the original's {elements.sharing(want)}"
        if not want.role.startswith("output"):
            return ""
        if got.requires_grad != want.requires_grad:
            return f"{want.role} {elements.grad(got)}, where the original's {elements.grad(want)}"
        known = {o.strides for run in self._original.values() for o in run.outputs
                 if o.role == want.role}  # fmt: skip
        if len(known) > 1 or elements.lies_as(got, want):
            return ""
        return f"{want.role} has strides {got.strides}, where the original's has {want.strides}"

    def side_effects(self) -> str:
        may_change = {n for run in self._original.values() for n in run.changed}
        for name, run in self._candidate.items():
            extra = [n for n in run.changed if n not in may_change]
            if extra:
                return f"changes its input {extra[0]}, which the original leaves alone"
            if not run.zones_intact and self._original[name].zones_intact:
                return "writes outside its tensors, into the red zones around them"
            if sentence := _left_behind(run, self._original[name]):
                return sentence
        return self._strays()

    def holdings(self, *, private: bool) -> str:
        """What it leaves in its caller's lists and objects; `private` is what their classes keep for
        themselves. An attribute more than the original sets is the candidate's own affair."""
        first, again = self._original["first"], self._original.get("again")
        if again is not None and first.held != again.held:  # a counter of the module's
            return ""
        for name, run in self._candidate.items():
            sentence = "" if run.raised else _held_otherwise(run, self._original[name], private)
            if sentence:
                return sentence
        return ""

    def _strays(self) -> str:
        runs = (
            (run.strayed, self._original[name].strayed) for name, run in self._candidate.items()
        )
        return next((strayed for strayed, known in runs if strayed and not known), "")

    def races(self) -> str:
        """What the original's programs do to each other they may do in a candidate."""
        race = self._candidate["first"].race
        return f"races: {race}" if race and not self._original["first"].race else ""

    def hints(self) -> str:
        """What the original tells the compiler a candidate may tell it, too."""
        return "" if self._original["first"].misled else self._candidate["first"].misled


def _kind(raised: str) -> str:
    return raised.partition(":")[0]


def _held_otherwise(run: Run, known: Run, private: bool) -> str:
    for place in {**known.held, **run.held}:
        if bool(PRIVATE.search(place)) is not private:
            continue
        got, want = run.held.get(place), known.held.get(place)
        if got != want and not (want is None and place.endswith(NEW)):
            got, want = got or "as it was", want or "it as it was"
            return f"leaves {place.removesuffix(NEW)} {got}, where the original leaves {want}"
    return ""


def _left_behind(run: Run, known: Run) -> str:
    """What is otherwise once the call has returned, and was not with the original."""
    if settings := [s for s in run.settings if s not in known.settings]:
        return f"leaves {settings[0]} changed, which the original does not touch"
    if run.overwrites and not known.overwrites:
        return "a later call overwrites what an earlier one returned"
    if run.is_work_left and not known.is_work_left:
        return "returns before a kernel on another stream that it does not wait for"
    if pairs := set(run.together) - set(known.together):
        i, j = min(pairs)
        return f"output {i} and output {j} share memory, where the original's do not"
    return ""
