from __future__ import annotations

import pytest

from whet_agent.project import UserError
from whet_server import orders

GOOD = {"v": 1, "uri": "file:///k.py", "kernel": "k", "digest": "d", "target": None}


def test_an_order_is_read():
    assert orders.kernel_order({**GOOD, "goal": "optimize", "version": 3, "later": 1}) == (
        orders.KernelOrder(uri="file:///k.py", kernel="k", digest="d", target=None)
    )
    assert orders.kernel_order({k: GOOD[k] for k in ("v", "uri", "kernel")}).digest is None
    assert orders.run_id({"v": 1, "run": "r"}) == "r"


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        (None, "one object"),
        ("k", "one object"),
        ({}, "version 1"),
        ({**GOOD, "v": 2}, "update"),
        ({**GOOD, "v": "1"}, "update"),
        ({**GOOD, "uri": None}, "`uri`"),
        ({**GOOD, "kernel": ""}, "`kernel`"),
        ({**GOOD, "digest": 4}, "`digest`"),
        ({**GOOD, "target": ["a"]}, "`target`"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(argument, words):
    with pytest.raises(UserError, match=words):
        orders.kernel_order(argument)
