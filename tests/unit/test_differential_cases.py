"""Generated cases: what moves together, what stays within the contract, how inputs are guarded."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whet_evaluator.worker import replay
from whet_evaluator.worker.differential import (
    cases,
    dimensions,
    encoded,
    forms,
    grids,
    indices,
    inputs,
    layouts,
    scalars,
    sizes,
    values,
)
from whet_evaluator.worker.differential.literals import literals_of

BLOCKS = [16, 64]


def tensor(shape, *, dtype="float32", storage=0, strides=None, offset=0, **more):
    described = {
        "shape": list(shape),
        "strides": list(strides or encoded.contiguous(shape)),
        "offset": offset,
        "storage": storage,
        "dtype": dtype,
        "requires_grad": False,
        **more,
    }
    reach = offset + encoded.reach(described["shape"], described["strides"])
    return {"tensor": {**described, "storage_bytes": reach * encoded.itemsize(dtype)}}


def call(*args, names=(), **kwargs):
    values = {k: {"value": v} if isinstance(v, int) else v for k, v in kwargs.items()}
    return {"launcher": "f", "args": list(args), "kwargs": values, "names": list(names)}


def resized(calls, old, new):
    """The first call with its size `old` at `new`."""
    (family,) = dimensions.families(calls)
    index = next(i for i, g in enumerate(family.groups) if g.sizes[0] == old)
    return dimensions.resized(family, 0, {index: new})


def shapes(made):
    return [t["shape"] for t in encoded.tensors(made).values()]


def matmul(m, n, k):
    return call(tensor((m, k)), tensor((k, n), storage=1), tensor((m, n), storage=2))


def test_equal_sizes_move_together() -> None:
    assert shapes(resized([matmul(33, 20, 17)], 17, 5)) == [[33, 5], [5, 20], [33, 20]]


def test_another_call_unties_what_was_equal_by_chance() -> None:
    square, other = matmul(32, 32, 32), matmul(48, 20, 17)
    assert shapes(resized([square], 32, 31)) == [[31, 31]] * 3
    assert shapes(resized([square, other], 32, 31))[0] == [31, 32]


def test_arguments_that_equal_a_size_a_count_or_a_stride_follow_it() -> None:
    one = call(tensor((24, 100)), n=100, numel=2400, rows=24, block=100, stride=100, eps=7)
    made = resized([one], 100, 99)
    values = {k: v["value"] for k, v in made["kwargs"].items()}
    assert values == {
        "n": 99, "numel": 24 * 99, "rows": 24, "block": 100, "stride": 99, "eps": 7
    }  # fmt: skip


def test_padding_steps_and_expansion_survive_a_new_size() -> None:
    assert encoded.restrided([16, 777], [2000, 1], [16, 776]) == [2000, 1]
    assert encoded.restrided([8, 10], [20, 2], [8, 9]) == [18, 2]
    assert encoded.restrided([8, 10], [0, 1], [8, 9]) == [0, 1]
    assert encoded.restrided([8, 10], [1, 8], [7, 10]) == [1, 7]


def test_labels_stay_below_the_number_of_classes() -> None:
    labels = [(37 * i) % 1000 for i in range(64)]
    labels[3] = -100
    one = call(tensor((64, 1000)), tensor((64,), dtype="int64", storage=1, values=labels))
    made = resized([one], 1000, 513)
    values = list(encoded.tensors(made).values())[1]["values"]
    assert len(values) == 64
    assert max(values) < 513
    assert min(v for v in values if v != -100) >= 0
    assert values[3] == -100
    fewer = list(encoded.tensors(resized([one], 64, 5)).values())[1]["values"]
    assert fewer == labels[:5]


@pytest.mark.parametrize(("kind", "n_found"), [("int64", 1), ("int8", 0)])
def test_a_table_grows_until_its_indices_need_more_than_a_byte(kind: str, n_found: int) -> None:
    index = tensor((4,), dtype=kind, storage=1, values=[0, 3, 9, 4])
    one = call(index, tensor((10, 7)), names=("index", "table"))
    made = cases.generate([one], [], seed=1, blocks=[64])
    far = [case for case in made if case["name"].endswith("-> 259") and case["hard"]]
    held = [max(case["call"]["args"][0]["tensor"]["values"]) for case in far]
    assert held == [258] * n_found


def test_indices_stay_below_a_count_that_does_not_move() -> None:
    segments = tensor((4,), dtype="int64", storage=1, values=[0, 2, 1, 2])
    one = call(tensor((4, 130)), segments, n_segments=3)
    more = list(encoded.tensors(resized([one], 4, 131)).values())[1]["values"]
    assert len(more) == 131
    assert set(more) == {0, 1, 2}, "the rows grew, the segments did not"
    labels = tensor((64,), dtype="int64", storage=1, values=[i % 41 for i in range(64)])
    fewer = resized([call(tensor((64, 1000)), labels)], 1000, 33)
    assert max(list(encoded.tensors(fewer).values())[1]["values"]) < 33


def test_running_counts_end_at_the_new_total_and_permutations_stay_such() -> None:
    counts = tensor((4,), dtype="int32", storage=1, values=[0, 10, 25, 90])
    order = tensor((90,), dtype="int64", storage=2, values=[89 - i for i in range(90)])
    one = call(tensor((90, 16)), counts, order, tensor((3,), storage=3))
    _, starts, permuted, _ = encoded.tensors(resized([one], 90, 41)).values()
    assert (starts["values"][0], starts["values"][-1]) == (0, 41)
    assert sorted(permuted["values"]) == list(range(41))
    lengths = resized([one], 3, 7)
    assert shapes(lengths)[1::2] == [[8], [7]], "n lengths have n + 1 running counts"
    assert list(encoded.tensors(lengths).values())[1]["values"][-1] == 90


def test_views_of_one_memory_shrink_but_never_grow_into_each_other() -> None:
    q = tensor((10, 24), strides=(72, 1), storage_bytes=0)
    k = tensor((10, 24), strides=(72, 1), offset=24)
    assert resized([call(q, k)], 24, 25) is None
    made = resized([call(q, k)], 24, 23)
    first, second = encoded.tensors(made).values()
    assert (first["strides"], second["offset"]) == ([72, 1], 24)


def test_targets_hold_every_kind_of_size() -> None:
    found = sizes.targets(100, 100, [32], by_16=False)
    assert {99, 101, 1, 31, 32, 33, 67} <= set(found)
    prime = sizes.prime_below(100)
    assert prime in found
    assert all(prime % d for d in range(2, prime))
    by_16 = sizes.targets(128, 128, [32], by_16=True)
    first_odd = next(i for i, n in enumerate(by_16) if n % 16)
    assert {112, 144, 48, 16} <= set(by_16[:first_odd])


def test_sizes_go_beyond_the_largest_recorded_one() -> None:
    calls = [call(tensor((130,))), call(tensor((256,)))]
    tried = [c for c in cases.generate(calls, [], seed=1, blocks=[64]) if c["group"] == "shape"]
    assert any(shapes(case["call"]) == [[257]] and case["hard"] for case in tried)
    assert 300 + 1 not in sizes.targets(10, 300, [], by_16=False), "not thirty times the size"
    assert 256 + 16 in sizes.targets(128, 256, [], by_16=True)


def test_sizes_are_tried_at_numbers_in_the_texts() -> None:
    original = "n_programs = min(n_rows, 64)\nx2 = 1.5 * a[300]\n"
    candidate = original + "if n > 2000:\n    BLOCK = 4096\n"
    assert literals_of(original, candidate) == [2000, 4096, 64]
    made = cases.generate(
        [call(tensor((8, 30)))], [], seed=1, blocks=[32], literals=literals_of(original, original)
    )  # fmt: skip
    assert any(shapes(case["call"]) == [[65, 30]] for case in made), "more rows than programs"


def test_numbers_that_were_always_alike_vary() -> None:
    one = call(
        tensor((8,)), {"float": "0.5"}, names=("x", "factor"),
        eps={"float": "1e-06"}, transposed=True, n=8, nothing={"float": "nan"},
    )  # fmt: skip
    one["defaults"] = {"causal": {"value": False}, "cap": {"float": "0.0"}, "axis": {"value": 1}}
    found = {change: hard for change, _, hard in scalars.variants(one)}
    assert {change.partition(" ")[0]: hard for change, hard in found.items() if hard} == {
        "factor": True, "eps": True
    }  # fmt: skip
    assert list(found)[2:] == [
        "eps 1e-06 -> 0.25", "transposed True -> False", "factor 0.5 -> 2.0",
        "causal False (its default) -> True", "cap 0.0 (its default) -> 0.25",
    ]  # fmt: skip
    changed = [made for change, made, _ in scalars.variants(one) if change.startswith("causal")]
    assert changed[0]["kwargs"]["causal"] == {"value": True}
    assert "causal" not in one["kwargs"]


def test_integers_that_no_geometry_explains_become_one_less() -> None:
    one = call(
        tensor((7, 30)), width={"value": 3}, n_cols={"value": 30}, n={"value": 210},
        BLOCK={"value": 64}, axis={"value": 2}, single={"value": 1},
    )  # fmt: skip
    one["defaults"] = {"start": {"value": 0}, "dim": {"value": -1}, "group": {"value": 5}}
    assert [(change, hard) for change, _, hard in scalars.variants(one)] == [
        ("width 3 -> 2", False), ("start 0 (its default) -> 1", False),
        ("group 5 (its default) -> 4", False),
    ]  # fmt: skip


def test_a_type_passed_or_by_default_becomes_another() -> None:
    one = call(tensor((7,)), {"dtype": "float16"}, {"dtype": "bool"}, names=["x", "to", "mask"])
    one["defaults"] = {"acc": {"triton dtype": "fp32"}}
    found = {change: made for change, made, hard in scalars.variants(one) if not hard}
    assert list(found) == ["to float16 -> float32", "acc fp32 (its default) -> fp16"]
    assert found["to float16 -> float32"]["args"][1] == {"dtype": "float32"}


@pytest.mark.parametrize("limit", ["4096", "4 * 1024", "1 << 12", "2**12", "4095 + 1"])
def test_a_limit_is_found_however_it_is_written(limit: str) -> None:
    original = "n = 7\n"
    candidate = f"a = 300 + b\nBLOCK = 2048\nif x.shape[1] > {limit}:\n    c = 500\n"
    assert literals_of(original, candidate)[0] == 4096
    assert literals_of("broken (", candidate)[0] == 4096
    assert 131072 in literals_of(original, "if n > 131072:\n    pass\n")
    assert literals_of(original, "1 << 200\n2 ** 9999\n1 // 0\nif (n > ") == [200, 9999, 2]


def test_beyond_a_limit_in_the_text_not_only_plain_values_are_tried() -> None:
    made = cases.generate([call(tensor((4, 30)))], [], seed=1, blocks=[32], literals=[2000])
    kinds = {
        kind for case in made if [4, 2001] in shapes(case["call"]) for kind in case["values"].values()
    }  # fmt: skip
    assert {"large", "far below"} <= kinds


def test_inputs_are_finite_unless_recorded_or_chosen_otherwise() -> None:
    plain = call(tensor((8,), floats={"low": -1, "high": 1, "typical": 0.5, "finite": True}))
    assert values.are_finite(plain, {"0": "large"})
    assert not values.are_finite(plain, {"0": "nan first"})
    assert not values.are_finite(plain, {"0": "-inf last"})
    assert not values.are_finite(call(tensor((8,), floats={"finite": False})), {})
    masked = tensor((8,), floats={"constant": "-inf", "finite": False})
    assert not values.are_finite(call(masked), {"0": "large"})


def test_a_default_integer_becomes_one_that_the_tensors_hold() -> None:
    labels = tensor((4,), dtype="int64", values=[3, 1, 3, 0])
    one = call(labels) | {"defaults": {"ignore_index": {"value": -100}}}
    (found,) = scalars.variants(one)
    assert found[0] == "ignore_index -100 (its default) -> 3"
    assert not found[2], "no test passed it"


def test_elements_that_the_default_marks_are_marked_by_the_new_value() -> None:
    """Else the original would take its own old marker for an index, outside of everything."""
    labels = tensor((4,), dtype="int64", values=[-100, 1, 3, -100])
    one = call(labels) | {"defaults": {"ignore_index": {"value": -100}}}
    (found,) = scalars.variants(one)
    assert found[0] == "ignore_index -100 (its default) -> 1"
    (made,) = encoded.tensors(found[1]).values()
    assert made["values"] == [1, 1, 3, 1]
    assert labels["tensor"]["values"] == [-100, 1, 3, -100]


def test_a_direct_launchs_grid_follows_its_sizes() -> None:
    launch = {
        **call(tensor((6, 100)), tensor((6, 100), storage=1), n=100, BLOCK=32, num_warps=4),
        "grid": [6, 4, [[1, 1], [100, "B"]]],
    }
    told = grids.told(launch)
    assert told["grid"] == [6, [[100, 32]], [[1, 1], [100, "B"]]]
    assert launch["grid"][1] == 4
    made = resized([told], 100, 33)
    assert made["grid"] == [6, [[33, 32]], [[1, 1], [33, "B"]]]
    assert made["kwargs"]["n"] == {"value": 33}
    assert resized([told], 6, 5)["grid"][0] == 5


def test_hard_keeps_the_divisibility_that_every_call_had() -> None:
    def hard_columns(*columns, launches=()):
        made = cases.generate(
            [call(tensor((5, n))) for n in columns], launches, seed=1, blocks=BLOCKS
        )
        return {
            t["shape"][1]
            for case in made
            if case["hard"] and case["group"] == "shape"
            for t in encoded.tensors(case["call"]).values()
        }

    assert all(n % 16 == 0 for n in hard_columns(128, 256))
    assert any(n % 16 for n in hard_columns(128, 250))
    argument = {"type": "i32", "value": 7, "divisible_by_16": False}
    untold = [{"arguments": [argument]}]
    assert any(n % 16 for n in hard_columns(128, 256, launches=untold)), "no kernel was told"


def test_layouts_are_hard_only_where_recorded() -> None:
    dense, turned = call(tensor((8, 12))), call(tensor((8, 12), strides=(1, 8)))
    hard = {change: h for change, _, h in layouts.variants([dense], dense)}
    assert set(hard) == {"argument 1 " + k for k in
                         ("padded", "sliced", "transposed", "offset", "expanded", "broadcast")}  # fmt: skip
    assert not any(hard.values())
    hard = {change: h for change, _, h in layouts.variants([dense, turned], dense)}
    assert [change for change, h in hard.items() if h] == ["argument 1 transposed"]


def test_large_calls_are_made_small_before_they_are_varied() -> None:
    big = call(tensor((4096, 32003)))
    made = cases.generate([big], [], seed=1, blocks=[512])
    assert made[0]["name"].endswith("made small")
    (small,) = encoded.tensors(made[0]["call"]).values()
    assert small["shape"][1] > 512, "more than one block remains"
    assert small["shape"][1] % 16 == 32003 % 16
    assert made[-1]["group"] == "recorded"
    assert all(case["elements"] <= dimensions.MAX_ELEMENTS for case in made[:-1])


def test_outer_sizes_shrink_first_and_never_grow_to_thousands_of_programs() -> None:
    made = cases.generate([call(tensor((33, 5000)))], [], seed=1, blocks=[2048])
    (small,) = encoded.tensors(made[0]["call"]).values()
    assert small["shape"] == [3, 5000]
    rows = {t["shape"][0] for case in made for t in encoded.tensors(case["call"]).values()}
    assert rows <= {0, 1, 2, 3, 4, 33}


def test_a_text_is_exchanged_for_others_that_the_original_knows() -> None:
    words = cases.words_of(
        "def f(x, mode='relu'):\n    if mode == 'gelu': pass\n    assert 'it is'"
    )
    assert words == ["relu", "gelu"]
    one = {**call(tensor((6, 50))), "defaults": {"mode": {"value": "relu"}}}
    made = cases.generate([one], [], seed=1, blocks=[], words=words)
    changed = [case for case in made if case["call"]["kwargs"].get("mode") == {"value": "gelu"}]
    assert [(case["group"], case["hard"]) for case in changed] == [("arguments", False)]


def test_one_case_has_nothing_to_do() -> None:
    made = cases.generate([call(tensor((6, 50)))], [], seed=1, blocks=[])
    empty = [case for case in made if case["elements"] == 0]
    assert empty
    assert not any(case["hard"] for case in empty)


sizes_of = st.integers(1, 300)
recorded_calls = st.lists(
    st.builds(
        lambda m, n, k, dtype: call(
            tensor((m, k), dtype=dtype),
            tensor((k, n), dtype=dtype, storage=1),
            tensor((m,), dtype="int64", storage=2, values=[i * 7 % n for i in range(m)]),
            names=("a", "b", "rows"),
            n=n,
        ),
        sizes_of, sizes_of, sizes_of, st.sampled_from(["float16", "float32", "bfloat16"]),
    ),
    min_size=1, max_size=3,
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(recorded_calls, st.integers(0, 1000), st.lists(st.sampled_from([16, 32, 64, 128])))
def test_cases_are_sound_and_deterministic(calls, seed, blocks) -> None:
    before = copy.deepcopy(calls)
    made = cases.generate(calls, [], seed=seed, blocks=blocks)
    assert calls == before
    assert made == cases.generate(calls, [], seed=seed, blocks=blocks)
    assert len({case["id"] for case in made}) == len(made) <= cases.MAX_CASES
    assert sum(case["group"] == "recorded" for case in made) >= 1
    for case in made:
        json.dumps(case)
        a, b, rows = encoded.tensors(case["call"]).values()
        if case["group"] != "alias":
            assert a["shape"][1] == b["shape"][0]
        assert rows["shape"][0] == a["shape"][0]
        assert len(rows["values"]) == rows["shape"][0]
        assert all(v >= 0 for v in rows["values"])
        assert case["call"]["kwargs"]["n"]["value"] in (
            b["shape"][1],
            calls[0]["kwargs"]["n"]["value"],
        )
        for described in (a, b, rows):
            end = described["offset"] + encoded.reach(described["shape"], described["strides"])
            assert end * encoded.itemsize(described["dtype"]) <= described["storage_bytes"]


KINDS = ["normal", "large", "denormal", "equal", "one-hot", "signed zero", "cancellation"]
KINDS += ["nan first", "inf last", "-inf 16"]


def case_of(one, values="normal", seed=3):
    numbers = {t["storage"] for t in encoded.tensors(one).values()}
    return {"call": one, "values": {str(n): values for n in numbers}, "seed": seed}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "float8_e5m2"])
@pytest.mark.parametrize("kind", KINDS)
def test_values_of_a_kind(kind: str, dtype: str) -> None:
    built = inputs.build(case_of(call(tensor((5, 40), dtype=dtype)), kind), "cpu")
    (x,) = built.tensors
    wide = x.double()
    match kind.split():
        case ["normal" | "cancellation"]:
            assert 0.3 < wide.std() < 200
        case ["large"]:
            assert wide.isfinite().all()
            assert wide.abs().max() > 20
        case ["denormal"]:
            assert wide.abs().max() < torch.finfo(x.dtype).tiny
        case ["equal"]:
            assert (wide == wide[0, 0]).all()
        case ["one-hot"]:
            assert (wide.sum(1) == 1).all()
        case ["signed", "zero"]:
            assert (wide == 0).all()
            assert {math.copysign(1, v) for v in wide.flatten().tolist()} == {1, -1}
        case ["nan", "first"]:
            assert wide.isnan().sum() == 1
            assert wide[0, 0].isnan()
        case [_, "last"]:
            assert dtype.startswith("float8") or wide[-1, -1] == math.inf
        case _:
            assert dtype.startswith("float8") or wide[0, 16] == -math.inf


def test_values_keep_the_recorded_sign_and_bounds() -> None:
    def drawn(kind, **floats):
        facts = {"typical": 0.5, "finite": True, **floats}
        return inputs.build(case_of(call(tensor((400,), floats=facts)), kind), "cpu").tensors[0]

    assert drawn("normal", low=0.0, high=9.0).min() >= 0
    assert drawn("cancellation", low=0.1, high=9.0).min() >= 0
    probabilities = drawn("normal", low=0.0, high=1.0)
    assert 0 <= probabilities.min() < 0.1 < 0.9 < probabilities.max() <= 1
    scales = drawn("normal", low=0.01, high=0.02)
    assert 0.01 <= scales.min() < 0.012 < 0.018 < scales.max() <= 0.02
    weights = drawn("normal", low=1.0, high=1.0)
    assert 0.5 <= weights.min() < 0.6 < 1.4 < weights.max() <= 1.5
    assert drawn("normal", low=-90.0, high=99.0, typical=30.0).std() > 20


def test_red_zones_aliases_and_moved_pointers() -> None:
    shared = tensor((4, 6), strides=(12, 1), storage_bytes=192)
    beside = tensor((4, 6), strides=(12, 1), offset=6, storage_bytes=192)
    one = call(shared, beside, tensor((9,), dtype="int64", storage=1, values=list(range(9))))
    case = case_of(one)
    a, b = inputs.build(case, "cpu"), inputs.build(case, "cpu", bare=True)
    assert all(torch.equal(x, y) for x, y in zip(a.tensors, b.tensors, strict=True))
    assert a.tensors[0].data_ptr() != b.tensors[0].data_ptr()
    assert [t.data_ptr() % 64 for t in a.tensors] == [t.data_ptr() % 64 for t in b.tensors]
    assert a.tensors[1].data_ptr() - a.tensors[0].data_ptr() == 24
    assert [t.storage_offset() for t in b.tensors] == [0, 6, 0]  # as the recorded ones lay
    assert [t.untyped_storage().nbytes() for t in b.tensors] == [192, 192, 72]
    assert a.tensors[2].tolist() == list(range(9))
    before = a.snapshot()
    a.tensors[0].zero_()
    assert a.red_zones_intact()
    assert not torch.equal(before[0], a.tensors[0])
    a.refill(case)
    assert torch.equal(before[0], a.tensors[0])
    for behind in (-1, 9):
        x = a.tensors[2]
        outside = x.as_strided((1,), (1,), x.storage_offset() + behind)
        kept = outside.item()
        outside.fill_(0)
        assert not a.red_zones_intact()
        outside.fill_(kept)
        assert a.red_zones_intact()


def test_another_pattern_shows_reads_outside() -> None:
    case = case_of(call(tensor((3,))))
    seen = set()
    for pattern in (0x00, 0xFF):
        x = inputs.build(case, "cpu", pattern=pattern).tensors[0]
        seen.add(str(x.as_strided((1,), (1,), x.storage_offset() + 4).item()))
    assert seen == {"0.0", "nan"}


def test_a_size_that_drags_others_along_never_makes_a_giant() -> None:
    """Group-wise weights: 4 groups of 64 make rows of 256, so a size of 1024 made 65536."""
    weights = [n % 251 - 125 for n in range(16 * 256)]
    call_ = call(
        tensor((16, 256), dtype="int8", values=weights), tensor((16, 4), storage=1), group_size=64
    )
    made = cases.generate([call_], [], seed=1, blocks=[32, 64, 128, 1024])
    assert len(made) > 10
    assert max(case["elements"] for case in made) <= dimensions.MAX_ELEMENTS
    (family,) = dimensions.families([call_])
    everything = dict.fromkeys(range(len(family.groups)), 1 << 14)
    assert dimensions.resized(family, 0, everything) is None


def test_a_search_times_the_largest_the_smallest_and_between() -> None:
    assert replay.spread(12, 3) == {0, 6, 11}
    assert replay.spread(12, 12) == replay.spread(12, 40) == set(range(12))
    assert replay.spread(5, 1) == {0}


def test_of_large_integer_tensors_only_the_range_is_kept() -> None:
    old = tensor((16,), dtype="int64", values=list(range(16)))["tensor"]
    new = {**copy.deepcopy(old), "shape": [1 << 17]}
    indices.adapt(old, new, [(16, 1 << 17)])
    assert "values" not in new
    assert new["range"] == [0, (1 << 17) - 1]


def forms_of(*recorded):
    (family,) = dimensions.families(recorded)
    return dict(forms.variants(family))


def test_inputs_are_written_to_before_a_backward_that_the_tests_ran():
    plain = call(tensor([6]), {"value": 6})
    assert not any(made.get("disturbed") for made in forms_of(plain).values())
    disturbed, *flows = forms_of({**plain, "backward": True}).values()
    assert disturbed["disturbed"]
    assert [made["flow"] for made in flows] == list(forms.FLOWS)


def test_a_call_of_equal_shapes_is_tried_at_another_rank():
    flat = call(tensor([6]), tensor([6], storage=1))
    assert [shapes(m) for m in forms_of(flat).values()] == [[[2, 6], [2, 6]]]
    deep = call(tensor([2, 3]), tensor([2, 3], storage=1))
    assert [shapes(m) for m in forms_of(deep).values()] == [[[2, 2, 3], [2, 2, 3]]]


def test_integers_of_another_rank_are_as_many_as_it_holds():
    (made,) = forms_of(call(tensor([2], dtype="int64", values=[5, 7]))).values()
    (described,) = encoded.tensors(made).values()
    assert described["values"] == [5, 7, 5, 7]


def test_what_a_number_or_another_shape_may_depend_on_keeps_its_rank():
    assert not forms_of(call(tensor([6]), {"value": 6}))
    assert not forms_of(call(tensor([2, 6]), tensor([6], storage=1)))


def test_one_side_of_what_was_always_square_is_tried_alone():
    made = forms_of(call(tensor([8, 8]), tensor([5], storage=1), {"value": 3}))
    assert [shapes(m) for m in made.values()] == [[[6, 8], [5]], [[8, 6], [5]]]
    assert all(map(encoded.is_contiguous, encoded.tensors(next(iter(made.values()))).values()))
    assert not forms_of(call(tensor([8, 4]), {"value": 3}), call(tensor([8, 6]), {"value": 3}))
    assert not forms_of(call(tensor([8, 8]), tensor([8], storage=1), {"value": 3}))


def test_an_operand_that_was_always_absent_is_given():
    recorded = call(
        tensor([4, 8], values=[1.0]), {"value": None}, {"value": 3}, names=["x", "bias", "axis"]
    )
    recorded["defaults"] = {"residual": {"value": None}}
    made = forms_of(recorded)
    assert list(made) == [
        "bias None -> float32[8]", "bias None -> float32[4x8]",
        "residual None -> float32[8]", "residual None -> float32[4x8]",
    ]  # fmt: skip
    first, *_, last = made.values()
    given, own = encoded.tensors(first)["args", 1, "tensor"], recorded["args"][0]["tensor"]
    assert given["storage"] != own["storage"]
    assert given["storage_bytes"] == 32
    assert "values" not in given
    assert shapes(last) == [[4, 8], [4, 8]]


def test_a_list_of_tensors_is_tried_without_its_last():
    three = {"list": [tensor([8, 2], storage=n) for n in range(3)]}
    recorded = call(
        three, {"list": [tensor([8], storage=3)]}, {"value": 8}, names=["xs", "ys", "n"]
    )
    made = {change: one for change, one in forms_of(recorded).items() if change.startswith("xs")}
    assert list(made) == ["xs of 3 -> of 2"]
    assert len(made["xs of 3 -> of 2"]["args"][0]["list"]) == 2
    assert len(recorded["args"][0]["list"]) == 3, "the recorded call stays as it is"


def test_the_arguments_of_a_direct_launch_have_no_other_form():
    assert not forms_of({**call(tensor([6])), "grid": [1]})


def test_each_factor_is_tried_at_zero_once():
    recorded = call(tensor([6]), {"float": "0.5"}, {"float": "0.0"}, names=["x", "scale", "shift"])
    assert [change for change, _ in forms.zeros(recorded)] == ["scale 0.5 -> 0.0"]


def test_indices_do_not_grow_with_the_length_of_their_own_tensor():
    """Four rows are looked up in a table of five: how many are looked up moves no row."""
    recorded = call(tensor([4], dtype="int64", values=[1, 0, 3, 0]), tensor([5, 64], storage=1))
    made = resized([recorded], 4, 192)
    assert max(made["args"][0]["tensor"]["values"]) <= 4
