"""From the failing cases to one that a reader can follow: the fewest elements that still fail."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from . import dimensions, encoded

if TYPE_CHECKING:
    from .suite import Suite

SHARE_OF_BUDGET = 0.25
MAX_VARIANTS = 12
PREFIX = "m"
"""Of the ids of variants."""
_ROUNDS = 2
_SMALL = (1, 2, 3, 5, 8, 16, 17)

Case = dict[str, Any]
Found = tuple[Case, dict[str, Any]]


async def smallest(suite: Suite, failing: list[Found]) -> list[Found]:
    """The smallest failing case, shrunk further while a shrunk one still fails. One at most."""
    best = min(failing, key=lambda found: _weight(found[0]))
    if "grid" in best[0]["call"] or best[0].get("dry"):
        return [best]
    for number in range(_ROUNDS):
        variants = shrunk(best[0], f"{PREFIX}{number}")
        still = await suite.retried(variants, SHARE_OF_BUDGET * suite.budget_s) if variants else []
        if not still:
            break
        best = min(still, key=lambda found: _weight(found[0]))
    return [best]


def shrunk(case: Case, prefix: str) -> list[Case]:
    """The same call with fewer rows, columns, ...: each size alone, then all together."""
    families = dimensions.families([case["call"]])
    if not families:
        return []
    family = families[0]
    wanted: list[dict[int, int]] = []
    for target in _SMALL:
        groups = [i for i, group in enumerate(family.groups) if group.sizes[0] > target]
        wanted += [dict.fromkeys(groups, target)] if len(groups) > 1 else []
        wanted += [{group: target} for group in groups]
    made: dict[str, Case] = {}
    for changes in wanted:
        call = dimensions.resized(family, 0, changes)
        if call is not None and encoded.n_elements(call) < _weight(case)[0]:
            name = f"{encoded.name_of(call)} (made smaller)"
            made.setdefault(name, {
                **copy.deepcopy(case), "id": f"{prefix}.{len(made)}", "name": name, "call": call,
                "elements": encoded.n_elements(call),
            })  # fmt: skip
    return sorted(made.values(), key=_weight)[:MAX_VARIANTS]


def _weight(case: Case) -> tuple[int, bool, bool]:
    """Fewer elements first, then recorded layouts and plain values."""
    return case["elements"], case["group"] != "recorded", bool(case.get("values"))
