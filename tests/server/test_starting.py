"""LSP's classes are made when they are first used, and are what lsprotocol's own would be."""

from __future__ import annotations

import subprocess
import sys

FRESH = """
import sys
from whet_server.starting import import_types_of_lsp
import_types_of_lsp()
import attrs
from lsprotocol import converters, types

def made():
    return {name for name, one in vars(types).items()
            if isinstance(one, type) and isinstance(vars(one).get("__attrs_attrs__"), tuple)}
"""
USE = """
assert made() == set(), made()
converter = converters.get_converter()
before = made()
assert len(before) < 10, before
here = types.Position(line=1, character=2)
assert made() - before == {"Position"}
assert here == types.Position(1, 2) and here != types.Position(1, 3) and here < types.Position(2, 0)
hover = converter.structure({"contents": {"kind": "markdown", "value": "x"},
    "range": {"start": {"line": 0, "character": 1}, "end": {"line": 2, "character": 3}}}, types.Hover)
assert hover.range.end == types.Position(2, 3)
assert converter.unstructure(hover)["range"]["end"] == {"line": 2, "character": 3}
assert made() - before == {"Position", "Hover", "Range", "MarkupContent"}, made()
try:
    types.Position(line=-1, character=0)
except ValueError:
    print("as it should be")
"""
ALL = """
import json
print(json.dumps({
    name: [[f.name, f.default is attrs.NOTHING, f.kw_only, str(f.type)] for f in attrs.fields(one)]
    for name, one in types.ALL_TYPES_MAP.items() if isinstance(one, type) and attrs.has(one)
}))
"""


def run_fresh(code: str) -> str:
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_class_is_made_when_it_is_used_and_no_sooner():
    assert run_fresh(FRESH + USE) == "as it should be\n"


def test_every_class_has_the_fields_that_lsprotocol_gives_it():
    plain = "import attrs\nfrom lsprotocol import converters, types\nconverters.get_converter()\n"
    assert run_fresh(FRESH + ALL) == run_fresh(plain + ALL)


def test_two_threads_that_want_one_class_get_the_same():
    code = """
import threading
gate, seen = threading.Barrier(8), []
def want():
    gate.wait()
    seen.append(types.CodeAction(title="a").title)
threads = [threading.Thread(target=want) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(seen == ["a"] * 8)
"""
    assert run_fresh(FRESH + code) == "True\n"
