"""Where numbers are written in a launch or an autotune entry, and where they may be added. Pure."""

from __future__ import annotations

import attrs
from tree_sitter import Node

from whet_agent.candidates.kernel_reading import arguments, calls, integer, last_name, source, walk

OPTIONS = ("num_warps", "num_stages", "waves_per_eu", "matrix_instr_nonkdim", "kpack")
DEFAULTS = {"num_warps": 4}
"""Triton's own on every backend, where a launch says nothing."""


@attrs.frozen(kw_only=True)
class Site:
    """One place: bytes `start` to `end` spell `value`; empty when it must be inserted.

    `before` is then what goes in front of the number.
    """

    start: int
    end: int
    value: int
    before: str = ""
    after: str = ""


def site_of(node: Node, value: int) -> Site:
    return Site(start=node.start_byte, end=node.end_byte, value=value)


def insertion(call: Node, name: str, value: int) -> Site:
    """Where `name=` goes in a call: after the last argument, in the call's own style."""
    given = arguments(call)
    listed = call.child_by_field_name("arguments")
    assert listed is not None
    keyword = f"{name}=" if name else ""
    if not given:
        place = listed.start_byte + 1
        return Site(start=place, end=place, value=value, before=keyword)
    last = given[-1]
    following = last.next_sibling
    if following is None or following.type != ",":
        return Site(start=last.end_byte, end=last.end_byte, value=value, before=f", {keyword}")
    place = following.end_byte
    if last.start_point[0] == listed.end_point[0]:
        return Site(start=place, end=place, value=value, before=f" {keyword}")
    return Site(start=place, end=place, value=value, before=_new_line(last) + keyword, after=",")


def config_insertion(config: Node, name: str) -> Site:
    """`num_warps` and `num_stages` are keywords of `Config`; a backend's options go into its table."""
    given = arguments(config)
    if name in {"num_warps", "num_stages"} or not given or given[0].type != "dictionary":
        return insertion(config, name, DEFAULTS.get(name, 0))
    pairs = [child for child in given[0].named_children if child.type == "pair"]
    place = pairs[-1].end_byte if pairs else given[0].start_byte + 1
    return Site(start=place, end=place, value=0, before=f'{", " if pairs else ""}"{name}": ')


def config_calls(decorators: tuple[Node, ...]) -> tuple[Node, ...]:
    """`triton.Config(...)` entries, if the list is written out."""
    for decorator in decorators:
        for call in calls(decorator, "autotune"):
            listed = keywords(call).get("configs") or next(iter(arguments(call)), None)
            if listed is None or listed.type != "list":
                return ()
            entries = [c for c in listed.named_children if c.type != "comment"]
            is_plain = all(
                e.type == "call" and last_name(e.child_by_field_name("function")) == "Config"
                for e in entries
            )
            return tuple(entries) if is_plain else ()
    return ()


def config_value(config: Node, name: str) -> Node | None:
    given = arguments(config)
    table = given[0] if given and given[0].type == "dictionary" else keywords(config).get("kwargs")
    for pair in table.named_children if table is not None else ():
        key = pair.child_by_field_name("key") if pair.type == "pair" else None
        if key is not None and source(key).strip("\"'") == name:
            return pair.child_by_field_name("value")
    return keywords(config).get(name)


def heuristic_names(decorators: tuple[Node, ...]) -> set[str]:
    """Parameters that `@triton.heuristics` computes."""
    return {
        source(key).strip("\"'")
        for decorator in decorators
        for call in calls(decorator, "heuristics")
        for pair in walk(call)
        if pair.type == "pair" and (key := pair.child_by_field_name("key")) is not None
    }


def keywords(call: Node) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for argument in arguments(call):
        if argument.type == "keyword_argument":
            name, value = (argument.child_by_field_name(field) for field in ("name", "value"))
            if name is not None and value is not None:
                found[source(name)] = value
    return found


def reads_meta(node: Node, name: str) -> bool:
    """`meta["BLOCK"]` or `meta.get("BLOCK")`: a string of that name."""
    return any(n.type == "string" and source(n).strip("\"'") == name for n in walk(node))


def cdiv_literals(node: Node, value: int) -> list[Node]:
    return [
        given[1] for call in calls(node, "cdiv")
        if len(given := arguments(call)) == 2 and integer(given[1]) == value
    ]  # fmt: skip


def is_inside_keyword(node: Node, names: tuple[str, ...]) -> bool:
    parent = node.parent
    keyword = parent.child_by_field_name("name") if parent is not None else None
    return keyword is not None and source(keyword) in names


def _new_line(node: Node) -> str:
    """A line break and the indentation of the line that `node` begins, in the file's style."""
    root = node
    while root.parent is not None:
        root = root.parent
    raw = root.text or b""
    begin = raw.rfind(b"\n", 0, node.start_byte) + 1
    line = raw[begin : node.start_byte].decode("utf-8", "replace")
    indent = line[: len(line) - len(line.lstrip())]
    return ("\r\n" if b"\r\n" in raw else "\n") + indent
