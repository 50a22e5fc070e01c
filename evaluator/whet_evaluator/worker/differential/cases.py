"""Makes cases from recorded calls: other sizes, layouts and values. Pure; imports no torch.

Order is by use: the cheap recorded calls, then cases within the recorded contract, most
telling first and in turns over launchers and sizes, then those outside it, and the large
recorded calls last. So a prefix is the best use of a time budget.

*Hard* is a claim: types and ranks as recorded, sizes that keep a divisibility by 16 which
all recorded calls had and the compiler was told of, layouts and kinds of values that were
recorded. Whether the original passes is for others to find out.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import dimensions, encoded, forms, grids, indices, layouts, scalars, sizes, values
from .dimensions import Family
from .encoded import Call

MAX_CASES = 400
CHEAP_ELEMENTS, CHEAP_BLOCKS = 24_000, 64
"""A call with no more elements, in no more blocks of the smallest size, costs the interpreter
about a tenth of a second: it spends its time by programs rather than by elements."""
SMALL_ELEMENTS = 64_000
"""Recorded calls up to this size come first: the tests ran them too."""
PROVEN = frozenset({"recorded", "shape"})
"""Groups in whose cases it is also watched who computes the outputs: what is done for the
tests' sizes alone shows at others."""
TOLD_FACTOR = 4
"""Sizes one above a number in the text are worth several times the usual cost."""
MANY_PROGRAMS = 96
"""Rows of rows, each a program of its own or several: the interpreter needs seconds for more."""
MAX_RECORDED = 40
MAX_REDRAWN, N_DRAWS = 4, 3
MAX_OUTER_BLOCK, MAX_OUTER_TOLD = 64, 129
OUTSIDE, LARGE = 5.0, 9.0
"""Ranks of cases outside the recorded contract and of recorded calls too large to be cheap."""
_WORD = re.compile(r"(?<!\w)[\"'](\w{2,32})[\"']")
TELLING_VALUE, TELLING_LAYOUT, TELLING_SCALAR, TELLING_TYPE = 1.08, 1.22, 1.16, 1.11
TELLING_NOTHING, TELLING_FORM, FAR_INDICES = 1.17, 1.165, 1.09
"""Ranks of the few outside it that users ask about first: one NaN, strided inputs,
arguments that were always the same, another type of floats, other forms, no rows at all;
and of indices past a byte, which lie within it."""


def generate(
    calls: Sequence[Call],
    launches: Sequence[dict[str, Any]],
    *,
    seed: int,
    blocks: Sequence[int],
    literals: Sequence[int] = (),
    words: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Cases as the package describes them, the most useful first.

    `calls` are as recorded; `launches` are those recorded, as JSON; `blocks` are the
    block sizes of both versions (`blocks_of`), `literals` the numbers in their texts that
    sizes are tried at, `words` the texts in the original that arguments are tried at. Equal
    arguments give equal cases.
    """
    told = _told_divisible(launches)
    drafts: list[_Draft] = []
    for number, family in enumerate(dimensions.families([grids.told(one) for one in calls])):
        drafts += _of_family(
            family, _Setting(sorted(set(blocks)), told, number, tuple(literals), tuple(words))
        )
    drafts.sort(key=lambda draft: (draft.rank, draft.family, draft.cost))
    made: list[dict[str, Any]] = []
    seen: set[str] = set()
    for draft in drafts:
        key = json.dumps([draft.call, draft.values], sort_keys=True)
        if key not in seen and len(made) < MAX_CASES:
            seen.add(key)
            made.append(_case(draft, f"c{len(made):03}", seed + zlib.crc32(key.encode()) % 100_000))
    return made


def blocks_of(*launches: Sequence[dict[str, Any]]) -> list[int]:
    """Block sizes: constant powers of two from 8 to 8192 in both versions' launches."""
    found = set()
    for launch in (launch for one in launches for launch in one):
        for argument in launch["arguments"]:
            value = argument["value"]
            constant = argument["type"] == "constexpr" and type(value) is int
            if constant and 8 <= value <= 8192 and value & (value - 1) == 0:
                found.add(value)
    return sorted(found)


def words_of(text: str) -> list[str]:
    """Words in quotes, in order of appearance: names of modes, activations, roundings."""
    return list(dict.fromkeys(match[1] for match in _WORD.finditer(text)))


@dataclass(frozen=True)
class _Setting:
    """What holds for a whole family."""

    blocks: list[int]
    told: set[int] | None
    """Sizes the compiler knows to be divisible by 16; None where no launch was recorded."""
    family: int
    literals: tuple[int, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def cheap(self) -> int:
        """Elements of a call that costs little."""
        return min([CHEAP_ELEMENTS, *(CHEAP_BLOCKS * max(32, b) for b in self.blocks[:1])])


@dataclass
class _Draft:
    rank: float
    """Smaller comes first: 0 recorded, 1 hard, 2 and 3 hard in other types, then the constants."""
    family: int
    group: str
    change: str
    call: Call
    hard: bool
    values: dict[str, str] = field(default_factory=dict)

    @property
    def cost(self) -> int:
        return encoded.n_elements(self.call)


def _of_family(family: Family, setting: _Setting) -> Iterable[_Draft]:
    yield from _recorded(family, setting)
    yield from _integers(family, setting)
    for turn, number in enumerate(_bases(family, setting.cheap)):
        by_16 = {i for i, g in enumerate(family.groups) if _is_contract(g, setting)}
        free = set(range(len(family.groups))) - by_16
        small = sizes.shrunken(family, number, setting.blocks, setting.cheap, free)
        call = family.calls[number] if small is None else small.calls[0]
        if small is not None:
            yield _Draft(0.5, setting.family, "shape", "made small", call, hard=True)
        base = small or Family([call], dimensions.groups_at(family, number))
        yield from _shapes(family, base, setting, later=turn)
        yield from _values(family, call, setting, later=turn)
        if turn == 0:
            for what, made in sizes.beyond_a_byte(base, by_16):
                yield _Draft(FAR_INDICES, setting.family, "shape", what, made, hard=True)
            yield from _layouts(family, call, setting)
            yield from _scalars(call, setting)
            yield from _forms(base, setting)


def _bases(family: Family, cheap: int) -> list[int]:
    """The most telling recorded call of each combination of types, at most three; those that
    also ran backward come first."""
    best: dict[str, int] = {}
    for number in sorted(range(len(family.calls)), key=lambda i: _rank(family.calls[i], cheap)):
        types = json.dumps([t["dtype"] for t in encoded.tensors(family.calls[number]).values()])
        best.setdefault(types, number)
    first = sorted(best.values(), key=lambda number: not family.calls[number].get("backward"))
    return first[:3]


def _rank(call: Call, cheap: int) -> tuple[bool, int, int, int]:
    """Smaller is a better base: one that also ran backward, no size of one, as few multiples
    of 16 as there are, and as close to cheap as can be (a tiny call has no second block)."""
    shapes = [n for tensor in encoded.tensors(call).values() for n in tensor["shape"]]
    n_even = sum(n % 16 == 0 for n in shapes)
    forward_only = not call.get("backward")
    return forward_only, shapes.count(1), n_even, abs(encoded.n_elements(call) - cheap)


def _recorded(family: Family, setting: _Setting) -> Iterable[_Draft]:
    by_cost = sorted(family.calls, key=encoded.n_elements)
    for order, call in enumerate(by_cost[:MAX_RECORDED]):
        cheap = encoded.n_elements(call) <= SMALL_ELEMENTS
        rank = (0.0 if order < 3 else 2.0) + order * 0.01 if cheap else LARGE
        yield _Draft(rank, setting.family, "recorded", "", call, hard=True)


def _integers(family: Family, setting: _Setting) -> Iterable[_Draft]:
    by_cost = sorted(family.calls, key=encoded.n_elements)
    for draw in range(N_DRAWS):
        made = [indices.redrawn(call, setting.blocks, draw) for call in by_cost]
        for order, call in enumerate([one for one in made if one is not None][:MAX_REDRAWN]):
            rank = 1.1 + 0.1 * order + 0.35 * draw
            yield _Draft(rank, setting.family, "values", "other integers", call, hard=True)


def _shapes(family: Family, base: Family, setting: _Setting, *, later: int) -> Iterable[_Draft]:
    for index, group in enumerate(family.groups):
        n = base.groups[index].sizes[0]
        contract = _is_contract(group, setting)
        for order, target in enumerate(_targets(group, n, setting, contract)):
            hard = bool(target) and (not contract or target % 16 == 0)
            rank = (1.0 + later if hard else OUTSIDE + 0.1 * later) + 0.05 * order
            if not target and (index > 1 or later):
                continue
            if not target:
                rank = TELLING_NOTHING + 0.001 * index
            # What need not launch anything proves nothing by not launching.
            named = "shape" if target else "values"
            for alone, changes in sizes.changes(family, base, index, target):
                made = dimensions.resized(base, 0, changes)
                if made is None or encoded.n_elements(made) > dimensions.MAX_ELEMENTS:
                    continue
                bearable = TOLD_FACTOR if target - 1 in setting.literals else 1
                n_programs = sizes.n_outer(base, changes)
                dear = encoded.n_elements(made) > 8 * bearable * setting.cheap
                dear = dear or n_programs > MANY_PROGRAMS
                later_still = (1.5 if dear else 0.0) + (0.0 if alone else 0.3)
                what = sizes.described(base, changes)
                draft = _Draft(rank + later_still, setting.family, named, what, made, hard)
                yield draft
                if alone and target - 1 in setting.literals:
                    yield from _telling_values(family, draft)


def _telling_values(family: Family, draft: _Draft) -> Iterable[_Draft]:
    """What plain values do not tell of a path for large sizes: that it has lost its maximum."""
    for kind, hard in values.kinds(family.calls, draft.call, ())[:2]:
        for chosen in values.assignments(draft.call, kind):
            what = f"{draft.change}, {kind} values in {', '.join(_named(draft.call, chosen))}"
            special = {str(storage): kind for storage in chosen}
            yield dataclasses.replace(
                draft, rank=draft.rank + 0.01, group="values", change=what,
                hard=draft.hard and hard, values=special,
            )  # fmt: skip


def _targets(group: dimensions.Group, n: int, setting: _Setting, contract: bool) -> list[int]:
    """Sizes to try. An outer dimension is the grid's: thousands of programs tell no more than
    a few, and only small blocks could divide it."""
    blocks = [b for b in setting.blocks if b <= MAX_OUTER_BLOCK or not group.is_outer]
    largest = 0 if group.is_outer else max(group.sizes)
    told = [size for one in setting.literals for size in (one + 1, one)]
    told = [size for size in told if size <= MAX_OUTER_TOLD or not group.is_outer]
    ordinary = sizes.targets(n, largest, blocks, by_16=contract)
    lead = 3 if largest else 2  # the third lies far beyond the largest
    return [*ordinary[:lead], *(size for size in told if size != n), *ordinary[lead:], 0]


def _is_contract(group: dimensions.Group, setting: _Setting) -> bool:
    """Whether all recorded sizes are divisible by 16 and the compiler was told so."""
    told = setting.told is None or any(m in setting.told for m in group.sizes)
    return group.divisible and told


def _values(family: Family, call: Call, setting: _Setting, *, later: int) -> Iterable[_Draft]:
    for order, (kind, hard) in enumerate(values.kinds(family.calls, call, setting.blocks)):
        rank = (1.02 + later if hard else OUTSIDE + 0.02 + 0.1 * later) + 0.06 * order
        if not hard and later == 0 and kind == "nan first":
            rank = TELLING_VALUE
        for chosen in values.assignments(call, kind):
            names = ", ".join(_named(call, chosen))
            yield _Draft(
                rank, setting.family, "values", f"{kind} values in {names}", call, hard,
                {str(storage): kind for storage in chosen},
            )  # fmt: skip


def _layouts(family: Family, call: Call, setting: _Setting) -> Iterable[_Draft]:
    variants = sorted(layouts.variants(family.calls, call), key=lambda v: not v[2])
    for order, (change, made, hard) in enumerate(variants):
        rank = (1.1 if hard else TELLING_LAYOUT) + 0.05 * order
        if change.endswith("sliced"):  # what takes an input for dense, and what reads it by rows
            rank = min(rank, TELLING_VALUE)
        group = "alias" if change.startswith("same memory") else "layout"
        yield _Draft(rank, setting.family, group, change, made, hard)


def _scalars(call: Call, setting: _Setting) -> Iterable[_Draft]:
    for order, (change, made, hard) in enumerate(scalars.variants(call, setting.words)):
        rank = (1.04 if hard else TELLING_SCALAR) + 0.07 * order
        yield _Draft(rank, setting.family, "arguments", change, made, hard)


def _forms(base: Family, setting: _Setting) -> Iterable[_Draft]:
    """What the tests never passed: another type of floats, other ranks, a factor of zero."""
    call = base.calls[0]
    for order, (change, made) in enumerate(forms.other_type(call)):
        rank = TELLING_TYPE + 0.1 * order
        yield _Draft(rank, setting.family, "values", change, made, hard=False)
    for change, made in forms.trained(call):
        yield _Draft(TELLING_FORM, setting.family, "arguments", change, made, hard=False)
    for order, (change, made) in enumerate(forms.variants(base)):
        is_between = made.get("flow") == forms.BETWEEN
        rank = TELLING_VALUE if is_between else TELLING_FORM + 0.01 * order
        yield _Draft(rank, setting.family, "arguments", change, made, hard=is_between)
    for change, made in forms.zeros(call):
        for chosen in values.assignments(made, "nan first"):
            special = {str(storage): "nan first" for storage in chosen}
            yield _Draft(
                TELLING_FORM, setting.family, "arguments", change, made, hard=False, values=special
            )


def _named(call: Call, storages: Sequence[int]) -> list[str]:
    names: dict[int, str] = {}
    for path, described in encoded.tensors(call).items():
        names.setdefault(described["storage"], encoded.parameter(call, path))
    return [names[storage] for storage in storages]


def _case(draft: _Draft, identity: str, seed: int) -> dict[str, Any]:
    name = encoded.name_of(draft.call)
    return {
        "id": identity,
        "name": f"{name}: {draft.change}" if draft.change else name,
        "group": draft.group,
        "hard": draft.hard,
        "call": copy.deepcopy(draft.call),
        "values": draft.values,
        "seed": seed,
        "elements": draft.cost,
    }


def _told_divisible(launches: Sequence[dict[str, Any]]) -> set[int] | None:
    """Integers that some launch passed to a kernel as divisible by 16."""
    told = set()
    for launch in launches:
        for argument in launch["arguments"]:
            known = argument["divisible_by_16"] or argument["type"] == "constexpr"
            if known and type(argument["value"]) is int:
                told.add(argument["value"])
    return told if launches else None
