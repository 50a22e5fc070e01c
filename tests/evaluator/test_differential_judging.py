"""What makes a difference, rule by rule, on runs as a version would have written them."""

from __future__ import annotations

import math

import pytest
import torch

from whet_evaluator.worker.differential import outputs, poison, tolerance, watched
from whet_evaluator.worker.differential.compare import Comparison, Truth
from whet_evaluator.worker.differential.judge import judge
from whet_evaluator.worker.differential.outputs import Output, Run, UnreadableError
from whet_evaluator.worker.records import Differential

ROWS, COLS = 16, 40


def values(dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(ROWS, COLS, generator=generator).to(dtype)


def output(data, role="output 0", kind="Tensor", shares=None, **form):
    name = str(data.dtype).removeprefix("torch.")
    form = {"strides": tuple(data.stride()), **form}
    return Output(role, kind, name, tuple(data.shape), shares, data.contiguous(), **form)


def ran(*data, **fields):
    made = tuple(
        d if isinstance(d, Output) else output(d, f"output {n}") for n, d in enumerate(data)
    )
    return Run(**{"structure": "Tensor", "outputs": made, **fields})


def both(*data, **fields):
    return {"first": ran(*data, **fields), "again": ran(*data, **fields)}


def judged(tmp_path, original, candidate, wide=None, *, hard=True, **more):
    """The judge's row on runs that went through files, as they do in earnest."""
    folders = {}
    for name, runs in (("original", original), ("candidate", candidate), ("wide", wide or {})):
        folders[name] = str(tmp_path / name)
        for run_name, run in runs.items():
            outputs.write(folders[name], run_name, run)
    return judge(
        torch, {"hard": hard, **folders, "wide": folders["wide"] if wide else None, **more}
    )


def unwritten(index):
    """The truth with one element left to stale memory, in the first run and in the second."""
    made = []
    for pattern in poison.PATTERNS:
        data = values()
        data.reshape(-1).view(torch.uint8)[index * 4 : index * 4 + 4] = pattern
        made.append(ran(data))
    return dict(zip(("first", "again"), made, strict=True))


def moved(factor):
    return values() * (1 + factor * 2.0**-23)


def holding(special, place):
    data = values()
    data[place] = special
    return data


X = values()
WHOLE = torch.arange(100, dtype=torch.int32)
APPENDED = {"outs": "list of 1", "outs[0]": "float32[16x40]"}
EQUAL = [
    ("the same bits", both(X), both(X)),
    ("a few ulp apart", both(X), both(moved(3))),
    ("no elements", both(torch.empty(0, 4)), both(torch.empty(0, 4))),
    ("both raise", both(raised="ValueError: a"), both(raised="ValueError: b")),
    ("a list that both append to", both(X, held=APPENDED), both(X, held=APPENDED)),
    ("one more attribute", both(X), both(X, held={"self._cache (new)": "dict of 1"})),
    (
        "a counter of the original's module",
        {"first": ran(X, held={"log[0]": "1"}), "again": ran(X, held={"log[0]": "2"})},
        {"first": ran(X, held={"log[0]": "1"}), "again": ran(X, held={"log[0]": "3"})},
    ),
    ("NaN at the same place", both(holding(math.nan, (0, 3))), both(holding(math.nan, (0, 3)))),
    ("whole numbers", both(WHOLE), both(WHOLE)),
    ("memory that neither writes", unwritten(7), unwritten(7)),
    ("an input that both change", both(X, changed=(0,)), both(X, changed=(0,))),
    ("nearly equal numbers", both(plain=("0.1",)), both(plain=("0.10000001",))),
    (
        "an original that tuning changes, and a candidate that it does not",
        {**both(X), "back": ran(X * 4, tuned=True)},
        {**both(X), "back": ran(X)},
    ),
    (
        "roundings of another order of combining",
        {"first": ran(X), "again": ran(X, reordered=True)},
        {"first": ran(X), "again": ran(moved(3), reordered=True)},
    ),
    ("outputs that were one tensor", both(X, X, together=((0, 1),)), both(X, X)),
    (
        "noise in both",
        {"first": ran(X), "again": ran(moved(40))},
        {"first": ran(moved(20)), "again": ran(moved(-20))},
    ),
]
DIFFERENT = [
    ("raises", both(X), both(raised="ValueError: no"), "raises ValueError: no"),
    ("does not raise", both(raised="ValueError: no"), both(X), "where the original raises"),
    (
        "raises something else",
        both(raised="ValueError: no"),
        both(raised="KeyError: 3"),
        "raises KeyError: 3, where",
    ),
    ("a list left empty", both(X, held=APPENDED), both(X), "leaves outs as it was, where"),
    ("a list emptied", both(X), both(X, held={"outs[1]": "gone"}), "leaves outs[1] gone, where"),
    (
        "an attribute the original sets",
        both(X, held={"self.last (new)": "float32[3]"}),
        both(X),
        "leaves self.last as it was, where the original leaves float32[3]",
    ),
    ("another dtype", both(X), both(X.double()), "float64[16x40]"),
    ("another shape", both(X), both(X[:8]), "float32[8x40]"),
    ("a subclass", both(X), both(output(X, kind="Lazy")), "a Lazy float32"),
    ("fewer outputs", both(X, X), both(X), "only one version makes output 1"),
    ("another structure", both(X), both(X, structure="(Tensor)"), "returns (Tensor)"),
    ("an alias", both(X), both(output(X, shares=0)), "lies in input 0"),
    ("another number", both(plain=(3,)), both(plain=(4,)), "returns 4"),
    ("a changed input", both(X), both(X, changed=(1,)), "changes its input 1"),
    ("red zones", both(X), both(X, zones_intact=False), "red zones"),
    ("one wrong element", both(X), both(holding(9.0, (3, 39))), "at [3, 39]: got 9, want"),
    ("a NaN too many", both(X), both(holding(math.nan, (2, 0))), "got nan"),
    ("a NaN too few", both(holding(math.nan, (2, 0))), both(X), "want nan"),
    ("an infinity", both(holding(math.inf, (0, 0))), both(holding(-math.inf, (0, 0))), "got -inf"),
    ("an index off by one", both(WHOLE), both(WHOLE + (WHOLE == 50).int()), "at [50]: got 51"),
    ("half precision", both(X), both(X.half().float()), "ulp against the original"),
    ("stale memory", both(X), unwritten(77), "left unwritten at [1, 37]"),
    (
        "what differs each time",
        both(X),
        {"first": ran(X), "again": ran(X * 1.001)},
        "not the same for the same inputs at other addresses",
    ),
    (
        "what tuning has changed",
        {**both(X), "back": ran(X, tuned=True)},
        {**both(X), "back": ran(X * 2, tuned=True)},
        "restore_value",
    ),
    (
        "outputs that are one tensor",
        both(X, X),
        both(X, X, together=((0, 1),)),
        "output 0 and output 1 share memory",
    ),
    ("work on a side stream", both(X), both(X, is_work_left=True), "on another stream"),
    (
        "values that hang on the order of combining",
        {"first": ran(X), "again": ran(moved(2), reordered=True)},
        {"first": ran(X), "again": ran(X * 1.5, reordered=True)},
        "combined in another order",
    ),
    (
        "what was kept of an earlier call",
        {**both(X), "other": ran(values(seed=1)), "back": ran(X)},
        {**both(X), "other": ran(X), "back": ran(X)},
        "with new values give the old results",
    ),
]


@pytest.mark.parametrize("row", EQUAL, ids=lambda row: row[0])
def test_equal(tmp_path, row):
    found = judged(tmp_path, *row[1:])
    assert (found["sentence"], found["unjudged"]) == ("", "")


@pytest.mark.parametrize("row", DIFFERENT, ids=lambda row: row[0])
def test_different(tmp_path, row):
    _, original, candidate, words = row
    found = judged(tmp_path, original, candidate)
    assert words in found["sentence"]
    sound = not any(run.raised for run in original.values())
    assert found["hard"] == sound  # a case that the original does not pass is never hard


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_twice_the_originals_error_is_the_bound(tmp_path, dtype):
    """With a float64 run as the truth: as exact as the original passes, four times as far fails."""
    eps = torch.finfo(dtype).eps
    truth = values(torch.float64, seed=3).abs() + 1
    wide = {"float64": ran(truth)}

    def off(n_ulp):
        sign = torch.where(torch.arange(COLS) % 2 == 0, 1.0, -1.0).double()
        return both((truth * (1 + sign * n_ulp * eps)).to(dtype))

    assert judged(tmp_path / "a", off(12), off(15), wide)["sentence"] == ""
    found = judged(tmp_path / "b", off(12), off(48), wide)
    assert "original in float64" in found["sentence"]
    assert found["oracle"] == "float64"
    assert 8 < found["original_error"] < 16 < found["candidate_error"] < 64


def test_an_oracle_that_the_original_misses_wildly_is_not_believed(tmp_path):
    wide = {"float64": ran(values(torch.float64, seed=9))}
    found = judged(tmp_path, both(X), both(moved(1)), wide)
    assert (found["sentence"], found["oracle"]) == ("", "original")
    assert judged(tmp_path, both(X), both(holding(2.0, (1, 1))), wide)["sentence"]


def test_what_moving_the_inputs_changes_is_allowed(tmp_path):
    """An ill-conditioned output: another order of additions moves it as much."""
    wide = {"float64": ran(X), "nudged": ran(moved(900))}
    assert judged(tmp_path / "a", both(X), both(moved(1000)), wide)["sentence"] == ""
    assert judged(tmp_path / "b", both(X), both(moved(9000)), wide)["sentence"] != ""


def test_a_reference_comes_before_the_original(tmp_path):
    right = {**both(moved(4000)), "reference": ran(X.double())}
    found = judged(tmp_path, right, both(X), {"float64": ran(moved(4000).double())})
    assert (found["sentence"], found["oracle"]) == ("", "reference")


def test_a_case_that_the_original_does_not_survive_is_not_hard(tmp_path):
    noisy = {"first": ran(X), "again": ran(raised="RuntimeError: now and then")}
    assert judged(tmp_path / "a", noisy, both(X))["unjudged"]
    leaking = both(X, zones_intact=False)
    assert judged(tmp_path / "b", leaking, both(holding(5.0, (0, 0))))["hard"] is False


def test_files_of_a_candidate_are_not_believed(tmp_path):
    outputs.write(str(tmp_path), "first", ran(X))
    (tmp_path / "first.bin").unlink()
    (tmp_path / "first.bin").symlink_to("/etc/hostname")
    with pytest.raises(UnreadableError):
        outputs.read(str(tmp_path), "first", torch)
    (tmp_path / "first.json").write_text('{"outputs": [["a", "b", "float32", [1], null, 0, 4]]}')
    with pytest.raises(UnreadableError):
        outputs.read(str(tmp_path), "first", torch)


def test_errors_ignore_an_element_that_happens_to_be_near_zero():
    truth = values(torch.float64)
    truth[0, 0] = 1e-12
    apart = truth.clone()
    apart[0, 0] = 2e-8
    seen = tolerance.errors(torch, apart, truth, torch.float32)
    assert seen.typical == 0.0
    assert seen.largest < 1.0


@pytest.mark.parametrize(
    ("place", "hard"), [("self._cache['k']", False), ("self._buffers['m']", True)]
)
def test_what_a_class_keeps_for_itself_is_listed(tmp_path, place, hard):
    found = judged(tmp_path, both(X, held={place: "float32[3]"}), both(X))
    assert found["sentence"].startswith(f"leaves {place} as it was")
    assert found["hard"] is hard


def test_a_race_counts_where_the_original_has_none(tmp_path):
    race = "program 0 writes an element that program 1 reads"
    racing, calm = both(values(), race=race), both(values())
    assert judged(tmp_path / "a", calm, racing)["sentence"] == f"races: {race}"
    assert judged(tmp_path / "b", racing, racing)["sentence"] == ""
    assert judged(tmp_path / "c", racing, calm)["sentence"] == ""


def test_a_false_hint_counts_where_the_original_gives_none(tmp_path):
    misled = "tells the compiler multiple_of 16, which does not hold"
    misleading, plain = both(values(), misled=misled), both(values())
    assert judged(tmp_path / "a", plain, misleading)["sentence"] == misled
    assert judged(tmp_path / "b", misleading, misleading)["sentence"] == ""


def test_an_access_outside_every_tensor_counts_where_the_original_makes_none(tmp_path):
    strayed = "writes an element outside every tensor of its launch"
    stray, calm = both(values(), strayed=strayed), both(values())
    found = judged(tmp_path / "a", calm, stray)
    assert found["sentence"] == strayed
    assert found["hard"]
    reads = both(values(), strayed="reads an element outside every tensor of its launch")
    assert judged(tmp_path / "r", reads, reads)["hard"], "what only reads astray is a contract"
    both_stray = judged(tmp_path / "b", stray, stray)
    assert (both_stray["sentence"], both_stray["hard"]) == ("", False), (
        "the original is no contract"
    )


@pytest.mark.parametrize(
    ("original", "candidate", "sentence"),
    [
        ({}, {"settings": ("the gradient mode",)},
         "leaves the gradient mode changed, which the original does not touch"),
        ({"settings": ("the gradient mode",)}, {"settings": ("the gradient mode",)}, ""),
        ({}, {"overwrites": True}, "a later call overwrites what an earlier one returned"),
        ({"overwrites": True}, {"overwrites": True}, ""),
    ],
)  # fmt: skip
def test_what_a_call_leaves_behind(tmp_path, original, candidate, sentence):
    row = judged(tmp_path, both(values(), **original), both(values(), **candidate))
    assert row["sentence"] == sentence


def test_how_an_output_lies(tmp_path):
    turned = values().t().contiguous().t()
    dense, other = both(values()), both(turned)
    assert (
        "has strides (1, 16), where the original's has (40, 1)"
        in (judged(tmp_path / "a", dense, other)["sentence"])
    )
    either = {"first": ran(values()), "again": ran(turned)}
    assert judged(tmp_path / "b", either, other)["sentence"] == "", "the original's own differ"
    wanting = both(output(values(), requires_grad=True))
    assert judged(tmp_path / "c", dense, wanting)["sentence"] == (
        "output 0 requires a gradient, where the original's requires none"
    )
    flat = both(output(values()[:, :1], strides=(1, 1)))
    assert judged(tmp_path / "d", both(values()[:, :1].contiguous()), flat)["sentence"] == ""


def small_and_large(smallest=1e-9):
    """Rows of a softmax over far values: most of a row is next to nothing."""
    made = values().abs() + 0.1
    made[:, 8:] *= smallest
    return made


def test_small_elements_must_not_become_zero(tmp_path):
    true = small_and_large()
    cleared = torch.where(true < 1e-7, torch.zeros(()), true)
    row = judged(tmp_path, both(true), both(cleared), {"float64": ran(true.double())})
    assert "small elements became zero" in row["sentence"]
    assert row["hard"], "small beside the others is no excuse, not even to the last bit of them"
    assert judged(tmp_path, both(true), both(true * (1 + 2.0**-22)))["sentence"] == ""


def test_a_few_zeros_among_many_small_elements_are_cancellation(tmp_path):
    true = small_and_large()
    some = true.clone()
    some[:, 10] = 0.0
    assert judged(tmp_path, both(true), both(some))["sentence"] == ""


def test_what_the_original_has_wrong_itself_may_vanish(tmp_path):
    true = small_and_large(1e-9)
    original = torch.where(true < 1e-7, true * 3, true)
    cleared = torch.where(true < 1e-7, torch.zeros(()), true)
    row = judged(tmp_path, both(original), both(cleared), {"float64": ran(true.double())})
    assert row["sentence"] == ""


def test_bits_that_differ_by_roundings_are_listed_and_more_is_rejected(tmp_path):
    """A sum by atomics is not the same twice; an expert may take that, and must be told."""
    true, half = values(), values() * (1 + 2.0**-23)
    candidate = {"first": ran(true), "again": ran(half)}
    row = judged(tmp_path / "noise", both(true), candidate)
    assert "is not the same for the same inputs" in row["sentence"]
    assert not row["hard"]
    off = true.clone()
    off[3, 5] += 0.01
    row = judged(tmp_path / "race", both(true), {"first": ran(true), "again": ran(off)})
    assert "is not the same for the same inputs" in row["sentence"]
    assert row["hard"]


def test_noise_is_as_large_as_any_order_of_additions_may_make_it(tmp_path):
    """Many terms that nearly cancel: what atomics make of them differs by more than a few ulp."""
    candidate = {"first": ran(values()), "again": ran(moved(40))}
    row = judged(tmp_path / "well", both(values()), candidate, wide_of(nudged_by=1))
    assert row["hard"]
    row = judged(tmp_path / "ill", both(values()), candidate, wide_of(nudged_by=30))
    assert row["sentence"]
    assert not row["hard"]


def wide_of(nudged_by):
    return {"float64": ran(values()), "nudged": ran(moved(nudged_by))}


@pytest.mark.parametrize(
    ("seen", "known", "hard", "word"),
    [
        ({"race": "program 0 writes what program 1 reads"}, {}, True, "races: program 0"),
        ({"strayed": "writes an element outside"}, {}, True, "writes an element outside"),
        ({"misled": "tells the compiler multiple_of 16"}, {}, True, "multiple_of"),
        ({"race": "program 0 writes"}, {"race": "program 1 writes"}, True, ""),
        ({"race": "program 0 writes"}, {}, False, ""),
        ({"race": "program 0 writes", "raised": "ValueError: no"}, {}, True, ""),
    ],
)
def test_what_was_seen_of_a_run_counts_whatever_became_of_its_values(
    tmp_path, seen, known, hard, word
):
    """On the interpreter beside a device: values there are not what is asked about."""
    row = judged(tmp_path, both(values(), **known), both(moved(50), **seen), hard=hard)
    assert word in row["watched"]
    assert bool(row["watched"]) == bool(word)
    verdict = watched.verdict([(CASE, row)])
    assert (verdict is not None) == bool(word)
    if verdict is not None:
        assert verdict.cases[0].endswith("(on the interpreter); seed 4")


def test_only_what_ran_counts_as_watched(tmp_path):
    """A version that the interpreter cannot run was not watched, and the evidence says so."""
    found = Differential(
        cases=(), behaviour_changes=(), not_covered=(), seed=1, seconds=1.0, budget_s=1.0
    )
    ran_well = judged(tmp_path / "well", both(values()), both(values()))
    raised = both(values(), raised="InterpreterError: no")
    not_run = judged(tmp_path / "raised", raised, raised)
    noted = watched.noted(found, [(CASE, ran_well), (CASE, not_run)])
    assert (noted.n_watched, noted.not_covered) == (1, ())
    for rows in ([(CASE, not_run)], []):
        noted = watched.noted(found, rows)
        assert noted.n_watched == 0
        assert "the interpreter ran no case" in noted.not_covered[0]


CASE = {
    "id": "c000", "name": "f(float32[2])", "group": "shape", "hard": True, "seed": 4,
    "call": {"launcher": "k.py::f"},
}  # fmt: skip


NAN_BY_OVERFLOW = both(holding(math.nan, (2, 0)))


def test_numbers_where_the_original_has_none_of_finite_inputs_are_listed(tmp_path):
    found = judged(tmp_path, NAN_BY_OVERFLOW, both(X), finite=True)
    assert "want nan" in found["sentence"]
    assert not found["hard"]
    assert judged(tmp_path, NAN_BY_OVERFLOW, both(X), finite=False)["hard"]
    infinite = both(holding(math.inf, (2, 0)))
    assert judged(tmp_path, NAN_BY_OVERFLOW, infinite, finite=True)["hard"]
    wrong = both(X * 1.5)
    assert judged(tmp_path, NAN_BY_OVERFLOW, wrong, finite=True)["hard"], "elsewhere too"


def test_who_is_right_where_the_original_is_not_is_listed(tmp_path):
    off = both(X * 1.25)
    wide = {"float64": ran(output(X.double())), "nudged": ran(output(X.double()))}
    found = judged(tmp_path, off, both(X), wide)
    assert found["sentence"]
    assert not found["hard"]
    assert judged(tmp_path, off, both(X * 1.1), wide)["hard"]


def test_an_original_that_leaves_its_tensors_says_nothing_outside_the_contract(tmp_path):
    astray = both(X, strayed="reads 4 bytes behind x")
    assert judged(tmp_path, astray, both(X * 2), hard=False)["unjudged"]
    assert not judged(tmp_path, astray, both(X), hard=False)["unjudged"]
    assert not judged(tmp_path, astray, both(X * 2), hard=True)["unjudged"]


def test_a_refusal_that_the_original_makes_too_is_no_difference_from_a_reference() -> None:
    refusing = Run(raised="ValueError: too wide")
    truth = Truth(name="reference", outputs={})
    for original, said in ((refusing, ""), (Run(), "raises ValueError: too wide, where")):
        known = {"first": original, "again": original}
        found = Comparison(torch, known, {"first": refusing}, [truth], {}).by_reference()
        assert found.startswith(said)
        assert bool(found) is bool(said)
