"""Which cases are replayed and how, on Triton's interpreter in place of a device.

The numbers mean nothing there and are not looked at; `tests/gpu/try_timing.py` runs the
same stage on a real device.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from whet_evaluator.worker import codec, records

sys.path.insert(0, str(Path(__file__).parent))
from stage_child import make_job, run_stage

HABITS = Path(__file__).parent / "projects" / "habits"
LAUNCHERS = ["add", "scale_", "tuned", "heuristic", "matmul", "double"]
LAUNCHERS += ["Double.forward", "Double.backward", "properties_grid"]


def time_stage(
    tmp_path: Path,
    nodes: list[str],
    *,
    edit: tuple[str, str] = ("", ""),
    op: bool = False,
    launchers: list[str] = LAUNCHERS,
    before: tuple[str, str] = ("", ""),
    stages: str = "interpret:install+timing:run",
    whole: str = "",
) -> dict:
    """Records `nodes` on the habits' original, as `before` edits it, then times a candidate: the
    text edited once more."""
    text = (HABITS / "kernels.py").read_text()
    assert before[0] in text
    text = text.replace(*before) if before[0] else text
    if not op:  # the operator is registered when the module is imported
        start, end = text.index("@torch.library.custom_op"), text.index("def properties_grid")
        text = text[:start] + text[end:]
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    for folder in (root, scratch):
        shutil.copytree(HABITS, folder)
        (folder / "kernels.py").write_text(text)
        (folder / "table.py").write_text("OPS = {}\n")
    unit = {"path": "kernels.py", "kernels": [], "launchers": launchers, "text": ""}
    job = make_job(root, scratch, tmp_path / "out", "kernels.py", unit=unit)
    nodes = [f"test_habits.py::{name}" for name in nodes]
    recorded = run_stage("tests:run", {**job, "nodes": nodes})
    assert {o["outcome"] for o in recorded["outcomes"]} == {"passed"}
    assert edit[0] in text
    (scratch / "kernels.py").write_text(whole or (text.replace(*edit) if edit[0] else text))
    original = tmp_path / "original.py"
    original.write_text(text)
    job |= {"original": str(original), "rounds": 2, "pairs": 2}
    job |= {"launches": recorded["launches"], "calls": recorded["calls"]}
    return run_stage(stages, job)


def names(result: dict) -> list[str]:
    return [case["name"] for case in result["cases"]]


def test_calls_are_replayed_with_samples_of_the_asked_shape(tmp_path: Path) -> None:
    result = time_stage(tmp_path, ["test_matmul", "test_to_device_and_dtype"])
    assert names(result) == [
        "matmul(float32[33x17], float32[17x20])",
        "matmul(float16[33x17], float16[17x20])",
        "add(float16[300], float16[300])",
    ]
    case = codec.from_json(records.Case, result["cases"][0])
    for rounds, n_pairs in ((case.rounds, 2), (case.control, 1), (case.slowed, 1)):
        assert [len(pairs) for pairs in rounds] == [n_pairs, n_pairs]
        assert all(a > 0 and b > 0 for pairs in rounds for a, b in pairs)
    assert result["not_timed"] == []
    assert result["differs"] == []
    assert result["environment"]["clocks"] == "unreadable"
    assert result["environment"]["TRITON_DEFAULT_FP_FUSION"] == "1"


def test_in_place_launchers_are_restored_between_samples(tmp_path: Path) -> None:
    """Without restoring, `x * 3` would be compared with `x * 3 * 3 * ...`."""
    nodes = ["test_in_place_kernel_does_not_reach_the_host_copy", "test_autotuned"]
    result = time_stage(tmp_path, nodes)
    assert sorted(names(result)) == ["scale_(float32[300], 3.0)", "tuned(float32[300])"], result
    assert {case["state"] for case in result["cases"]} == {"warm"}
    assert result["differs"] == []


def test_backward_is_timed_with_its_forward(tmp_path: Path) -> None:
    result = time_stage(tmp_path, ["test_autograd"])
    assert names(result) == ["double(float32[300]) with backward"]


def test_a_method_is_replayed_with_its_object(tmp_path: Path) -> None:
    """`self` is rebuilt from its state, for each version with its own class."""
    method = (
        "class DoubleLayer(torch.nn.Module):\n",
        "class DoubleLayer(torch.nn.Module):\n    extra = 0.0\n",
    )
    launchers = [name for name in LAUNCHERS if not name.lower().startswith("double")]
    result = time_stage(
        tmp_path, ["test_module"], edit=method, launchers=[*launchers, "DoubleLayer.forward"]
    )
    assert names(result) == ["DoubleLayer.forward(DoubleLayer, float32[30])"], result["not_timed"]


def test_a_kernel_the_test_launches_itself_is_replayed_alone(tmp_path: Path) -> None:
    result = time_stage(tmp_path, ["test_direct_launch"])
    (name,) = names(result)
    assert name.startswith("add_kernel[3](float32[300], float32[300], float32[300], 300")


@pytest.mark.parametrize(
    ("test", "edit"),
    [
        ("test_to_device_and_dtype", ("return out\n", "return torch.zeros_like(out)\n")),
        ("test_direct_launch", ("x + y, mask=mask", "x, mask=mask")),
        ("test_autotuned", ("x + 1, mask=mask", "x + 2, mask=mask")),
        ("test_to_device_and_dtype", ("return out\n", "return out.float()\n")),
    ],
)
def test_wrong_outputs_under_the_clock_are_noticed(
    tmp_path: Path, test: str, edit: tuple[str, str]
) -> None:
    result = time_stage(tmp_path, [test], edit=edit)
    assert names(result) == [], result["not_timed"]
    (sentence,) = result["differs"]
    assert "output" in sentence


def test_honest_when_checked_and_idle_when_timed_is_noticed(tmp_path: Path) -> None:
    """A launcher that stops working after its first calls."""
    edit = (
        "    out = torch.empty_like(x)\n    n = out.numel()\n",
        (
            "    add.left = getattr(add, 'left', 12) - 1\n    out = torch.zeros_like(x)\n"
            "    if add.left < 0:\n        return out\n    n = out.numel()\n"
        ),
    )
    result = time_stage(tmp_path, ["test_to_device_and_dtype"], edit=edit)
    assert names(result) == []
    (sentence,) = result["differs"]
    assert "differs in 9" in sentence


def test_a_module_that_registers_operators_is_timed_in_two_processes(tmp_path: Path) -> None:
    """Loading it twice in one would make the original's operator run the candidate. Outputs
    are compared with the original's all the same: this candidate's `add` is wrong."""
    wrong = ("x + y, mask=mask", "x, mask=mask")
    nodes = ["test_to_device_and_dtype", "test_heuristics"]
    result = time_stage(tmp_path, nodes, op=True, edit=wrong)
    assert names(result) == ["heuristic(float32[128])", "heuristic(float32[100])"]
    assert [case["processes"] for case in result["cases"]] == [2, 2]
    case = codec.from_json(records.Case, result["cases"][0])
    assert [len(pairs) for pairs in case.rounds] == [2, 2]
    assert [len(pairs) for pairs in case.control] == [1, 1]
    (sentence,) = result["differs"]
    assert sentence.startswith("add(float16[300], float16[300]): output 0 differs")


_HEAD = "def add(x, y, *, block=128):\n"
_DISPATCH = "def add(x, y, *, block=128):\n    return table.OPS['add'](x, y, block=block)\n"
_ENTERS = {
    "that the last one enters": "table.OPS['add'] = _add",
    "that the first one enters": "table.OPS.setdefault('add', _add)",
    "that takes no second entry": (
        "assert table.OPS.get('add') is None or table.OPS['add'].__globals__ is globals()\n"
        "table.OPS['add'] = _add"
    ),
}


@pytest.mark.parametrize("enters", _ENTERS.values(), ids=_ENTERS)
def test_launchers_in_a_table_of_the_project_are_timed_in_two_processes(
    tmp_path: Path, enters: str
) -> None:
    """In one, both versions' calls would lead to the one launcher that stands in the table. This
    candidate is wrong, so that its having been called shows."""
    table = (_HEAD, f"import table\n\n\n{_DISPATCH}\n\n{_HEAD.replace('add', '_add')}")
    returned = ("num_warps=2)\n    return out\n", f"num_warps=2)\n    return out\n\n\n{enters}\n")
    text = (HABITS / "kernels.py").read_text().replace(*table).replace(*returned)
    result = time_stage(
        tmp_path, ["test_to_device_and_dtype", "test_heuristics"],
        before=((HABITS / "kernels.py").read_text(), text), edit=("x + y, mask=mask", "x, mask=mask"),
    )  # fmt: skip
    assert [case["processes"] for case in result["cases"]] == [2, 2], result
    (sentence,) = result["differs"]
    assert sentence.startswith("add(float16[300], float16[300]): output 0 differs")


_JUDGE = "    import sys\n    worker = 'whet_evaluator.worker.'\n"
_TAMPERING = {
    "clock": "    sys.modules[worker + 'clock'].Clock.timed = lambda self, calls, **k: None\n",
    "comparison": "    sys.modules[worker + 'sampling'].differs = lambda *a: None\n",
    "other kernel": "    sys.modules['kernels__original'].add_kernel = add_kernel\n",
    "other name": "    sys.modules['kernels__original'].triton = None\n",
    "constant of the other": "    sys.modules['kernels__original'].torch = torch.nn\n",
    "builtin hidden from the other": "    sys.modules['kernels__original'].len = None\n",
    "run of the other kernel": "    sys.modules['kernels__original'].add_kernel.run = None\n",
    "choice of a tuner": "    sys.modules['kernels__original'].tuned_kernel.cache = {}\n",
    "name that hides a builtin": "    sys.modules[worker + 'clock'].float = lambda us: 1e-3\n",
    "builtin": "    __builtins__['sorted'] = list\n",
    "watch": "    sys.modules[worker + 'integrity'].Watch.installed = None\n",
    "check": (
        "    class C(sys.modules[worker + 'integrity'].Watch): pass\n"
        "    sys.modules[worker + 'integrity'].Watch.installed.seal = lambda *a, **k: None\n"
    ),
}


@pytest.mark.parametrize("tampering", _TAMPERING.values(), ids=_TAMPERING)
def test_a_launcher_that_turns_on_the_clock_is_caught(tmp_path: Path, tampering: str) -> None:
    body = "    out = torch.empty_like(x)\n    n = out.numel()\n"
    result = time_stage(
        tmp_path, ["test_to_device_and_dtype", "test_autotuned"], edit=(body, _JUDGE + tampering + body),
        stages="interpret:install+tests.evaluator.sealing:watched+timing:run",
    )  # fmt: skip
    assert result["caught"][0] == "replaced a part of its judge", result
    assert "exchanged under the clock" in result["caught"][1]


def test_a_launcher_that_turns_on_the_clock_and_crosses_over_is_caught(tmp_path: Path) -> None:
    """What a crossing leads to, a new beginning in two processes, must not be had without a look."""
    body = "    out = torch.empty_like(x)\n    n = out.numel()\n"
    crossing = "    sys.modules['kernels__original'].add(x, y) if 'kernels__original' in sys.modules else None\n"
    result = time_stage(
        tmp_path, ["test_to_device_and_dtype", "test_heuristics"],
        edit=(body, _JUDGE + _TAMPERING["comparison"] + crossing + body),
        stages="interpret:install+tests.evaluator.sealing:watched+timing:run",
    )  # fmt: skip
    assert result["caught"][0] == "replaced a part of its judge", result


def test_a_crossing_that_fails_leads_to_two_processes(tmp_path: Path) -> None:
    """A table of kernels: the original's launcher finds the candidate's, which takes other arguments."""
    launch = '    add_kernel[lambda meta: (triton.cdiv(n, meta["BLOCK"]),)](x, y, out, n, BLOCK=block, num_warps=2)\n'
    looked_up = launch.replace("add_kernel[", "table.OPS.setdefault('add_kernel', add_kernel)[")
    text = (HABITS / "kernels.py").read_text()
    before = (
        text,
        text.replace("import torch\n", "import table\nimport torch\n", 1).replace(
            launch, looked_up
        ),
    )
    more = before[1].replace("def add_kernel(x_ptr,", "def add_kernel(more, x_ptr,")
    more = more.replace('add_kernel)[lambda meta: (triton.cdiv(n, meta["BLOCK"]),)](x,',
                        'add_kernel)[lambda meta: (triton.cdiv(n, meta["BLOCK"]),)](1, x,')  # fmt: skip
    more = more.replace(
        "def double(x):", "table.OPS['add_kernel'] = add_kernel\n\n\ndef double(x):", 1
    )
    no_op = more
    start, end = no_op.index("@torch.library.custom_op"), no_op.index("def properties_grid")
    result = time_stage(
        tmp_path, ["test_to_device_and_dtype"], before=before,
        edit=("", ""), whole=no_op[:start] + no_op[end:],
    )  # fmt: skip
    assert [case["processes"] for case in result["cases"]] == [2], result


def test_an_honest_candidate_is_timed_under_watch(tmp_path: Path) -> None:
    """One that imports something when it is first called, between two cases, which is no exchange."""
    head = "    M, K = a.shape\n"
    result = time_stage(
        tmp_path, ["test_matmul", "test_autotuned", "test_autograd"], edit=(head, f"    import table\n\n{head}"),
        stages="interpret:install+tests.evaluator.sealing:watched+timing:run",
    )  # fmt: skip
    assert len(names(result)) == 4, result


def test_what_one_version_lacks_is_named(tmp_path: Path) -> None:
    result = time_stage(tmp_path, ["test_matmul"], edit=("def matmul(", "def product("))
    assert names(result) == []
    assert len(result["not_timed"]) == 2
    assert "a launcher named matmul" in result["not_timed"][0]


def test_an_autotuned_kernel_launched_by_the_test_is_named(tmp_path: Path) -> None:
    result = time_stage(tmp_path, ["test_heuristics", "test_autotuned"])
    assert sorted(names(result)) == [
        "heuristic(float32[100])",
        "heuristic(float32[128])",
        "tuned(float32[300])",
    ]
