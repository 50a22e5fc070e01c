"""Which other sizes to try for a dimension, what moves with it, and cheaper base calls."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from . import dimensions, encoded, indices
from .dimensions import Family, Group

MAX_FACTOR = 1024
MANY = 8
"""Groups, mostly rows, each a program of its own or more: beyond these they cost more time
than they tell. The recorded calls have them all."""
FAR = 5
"""Times the largest recorded size: beyond a number of blocks or programs that was fixed."""
PAST_A_BYTE, PAST_A_BYTE_BY_16 = 259, 272
"""Rows of a table whose last index no byte holds, the second divisible by 16."""
MAX_BEYOND = 16
"""How many times its size a dimension may become, to lie beyond the largest recorded one."""


def targets(n: int, largest: int, blocks: Sequence[int], *, by_16: bool) -> list[int]:
    """Other sizes for `n`, most telling first; `largest` is the largest recorded one, beyond
    which no test looked, or 0 where more of the same tells nothing. With `by_16` multiples of 16 lead, since only those lie within
    what was recorded."""
    ends = [size for b in sorted(blocks, key=lambda b: abs(b - n)) for size in (b + 1, b - 1, b)]
    tails = [2 * b + 3 for b in sorted(blocks, key=lambda b: abs(2 * b - n))]
    # A path without masks that was chosen for another block size meets half a block.
    halves = [b + b // 2 for b in blocks]
    beyond = [largest + 1] if n < largest <= MAX_BEYOND * n else []
    far = [FAR * largest + 3] if largest else []
    plain = [n - 1, *ends[:1], *far, *ends[1:2], 1, *tails[:1], *beyond, n + 1, prime_below(n)]
    plain += [*halves[:1], *ends[2:], *tails[1:], *halves[1:]]
    if by_16:
        wide = [size for b in blocks if b >= 16 for size in (b + 16, b - 16, 2 * b + 48, b)]
        prime = 16 * prime_below(max(3, n // 16))
        far, beyond = ([-(-size // 16) * 16 for size in some] for some in (far, beyond))
        plain = [n - 16, *wide[:1], *far, 16, *wide[1:3], *beyond, n + 16, prime, *wide[3:], *plain]
    return [size for size in dict.fromkeys(plain) if size > 0 and size != n]


def changes(
    family: Family, base: Family, index: int, target: int
) -> Iterator[tuple[bool, dict[int, int]]]:
    """`(alone, sizes by group)`: the size by itself, and with those that are its multiples.

    Where several recorded sizes had the same multiples, the size never moves alone.
    """
    followers: dict[int, int] = {}
    for other, group in enumerate(family.groups):
        factor = _factor(family.groups[index], group)
        if other != index and factor is not None:
            followers[other] = base.groups[other].sizes[0] // base.groups[index].sizes[0]
    sure = bool(followers) and len(set(family.groups[index].sizes)) > 1
    if not sure:
        yield True, {index: target}
    if followers and all(followers.values()):
        yield sure, {index: target} | {o: factor * target for o, factor in followers.items()}


def beyond_a_byte(base: Family, by_16: AbstractSet[int]) -> Iterator[tuple[str, encoded.Call]]:
    """What changed and the call, for each dimension that indices lead into, where they stayed
    below what a byte holds and no longer do."""
    small = indices.largest(base.calls[0])
    for index, group in enumerate(base.groups):
        target = PAST_A_BYTE_BY_16 if index in by_16 else PAST_A_BYTE
        if group.sizes[0] >= target:
            continue
        made = dimensions.resized(base, 0, {index: target})
        if made is not None and 2 * small <= 255 < indices.largest(made) < target:
            yield described(base, {index: target}), made


def n_outer(base: Family, changes: dict[int, int]) -> int:
    """The product of the outer sizes: about how many programs are launched, or a fraction."""
    outer = (g for g, group in enumerate(base.groups) if group.is_outer)
    return math.prod(changes.get(g, base.groups[g].sizes[0]) for g in outer)


def shrunken(
    family: Family, number: int, blocks: Sequence[int], limit: int, free: AbstractSet[int]
) -> Family | None:
    """A family of one call no larger than `limit` elements and of few groups, where call
    `number` is larger.

    Sizes keep their remainder modulo 16 and stay above twice the largest block below
    them where they can: the call still loops, and still ends in a tail. Outer sizes go first,
    down to a few where they are `free`: numbers of groups whose divisibility is no contract.
    """
    every = sorted(range(len(family.groups)), key=lambda g: -family.groups[g].sizes[number])
    outer = [g for g in every if family.groups[g].is_outer]
    few = [g for g in outer if g in free]
    many = [g for g in few if family.groups[g].sizes[number] > MANY]
    if encoded.n_elements(family.calls[number]) <= limit and not many:
        return None
    wanted: dict[int, int] = {}
    best = None
    for floor, groups in (
        (_several, many), (_tiny, outer), (_few, few), (_looping, every), (_short, every),
        (_tiny, every),
    ):  # fmt: skip
        for g in groups:
            n = family.groups[g].sizes[number]
            wanted[g] = min(wanted.get(g, n), floor(n, blocks))
            made = dimensions.resized(family, number, wanted)
            if made is not None:
                best = made
                if encoded.n_elements(made) <= limit:
                    return _alone(family, number, made, wanted)
    return _alone(family, number, best, wanted) if best is not None else None


def described(base: Family, changes: dict[int, int]) -> str:
    """`x.0 64 -> 63`: which dimension of which argument, for the case's name."""
    parts = []
    for index, size in changes.items():
        group = base.groups[index]
        path, dim, _ = group.places[0]
        name = encoded.parameter(base.calls[0], path)
        parts.append(f"size {dim} of {name} {group.sizes[0]} -> {size}")
    return ", ".join(parts)


def prime_below(n: int) -> int:
    """The largest prime below 0.8 n, at least 2: a size that no block divides."""
    for candidate in range(max(2, 4 * n // 5), 2, -1):
        if all(candidate % d for d in range(2, int(candidate**0.5) + 1)):
            return candidate
    return 2


def _alone(family: Family, number: int, made: encoded.Call, wanted: dict[int, int]) -> Family:
    groups = dimensions.groups_at(family, number)
    for index, size in wanted.items():
        groups[index].sizes = (size,)
    return Family([made], groups)


def _factor(smaller: Group, larger: Group) -> int | None:
    """By what `larger` is a multiple of `smaller`, the same in all calls."""
    factors = {b / a for a, b in zip(smaller.sizes, larger.sizes) if a > 1}
    factor = factors.pop() if len(factors) == 1 else 0.0
    if min(smaller.sizes) < 2 or factor != int(factor) or not 2 <= factor <= MAX_FACTOR:
        return None
    return int(factor)


def _looping(n: int, blocks: Sequence[int]) -> int:
    """More than one block, and the same remainder modulo 16."""
    rest = n % 16
    twice = [2 * b + rest for b in blocks if 2 * b + rest <= n]
    once = [b + 16 + rest for b in blocks if b + 16 + rest <= n]
    return max([*twice, *once], default=min(n, 64 + rest))


def _short(n: int, blocks: Sequence[int]) -> int:
    return min([n, 32 + n % 16, *(b + 16 + n % 16 for b in blocks)])


def _several(n: int, blocks: Sequence[int]) -> int:
    """Enough for a program of four groups to have a last one that is not full."""
    return min(n, 5)


def _few(n: int, blocks: Sequence[int]) -> int:
    return min(n, 3)


def _tiny(n: int, blocks: Sequence[int]) -> int:
    return min(n, n % 16 if n % 16 > 2 else 16 + n % 16)
