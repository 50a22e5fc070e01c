"""Frames survive every cut and every message; garbage is refused, never obeyed."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet_evaluator.worker import protocol, records
from whet_evaluator.worker.launch_records import Argument, Launch
from whet_evaluator.worker.protocol import FrameReader, ProtocolError, encode_frame
from whet_evaluator.worker.unit_ref import UnitRef

text = st.text(max_size=8)
ids = st.integers(min_value=0, max_value=2**40)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False), text
)
arguments = st.builds(
    Argument,
    name=text,
    type=text,
    value=scalars,
    divisible_by_16=st.booleans(),
    shape=st.none() | st.tuples(ids, ids),
    strides=st.none() | st.tuples(ids),
)
launches = st.builds(
    Launch,
    kernel=text,
    grid=st.tuples(ids, ids, ids),
    arguments=st.lists(arguments, max_size=3).map(tuple),
    options=st.dictionaries(text, st.none() | st.integers() | st.booleans() | text, max_size=3),
    entry=st.none() | text,
)
units = st.builds(
    UnitRef,
    path=text,
    kernels=st.lists(text, max_size=2).map(tuple),
    launchers=st.lists(text, max_size=2).map(tuple),
    text=text,
)
outcomes = st.builds(
    records.TestOutcome,
    nodeid=text,
    outcome=st.sampled_from(["passed", "failed", "not run"]),
    seconds=st.floats(0, 1e6),
    uncovered=st.none() | text,
)
pair = st.tuples(st.floats(0, 1e9), st.floats(0, 1e9))
cases = st.builds(
    records.Case,
    name=text,
    method=st.just("events"),
    state=st.just("cold"),
    seed=ids,
    rounds=st.lists(st.lists(pair, max_size=3).map(tuple), max_size=3).map(tuple),
)
checked = st.builds(
    records.CheckedCase,
    name=text,
    group=st.sampled_from(["recorded", "shape", "layout", "values", "alias"]),
    hard=st.booleans(),
    oracle=st.sampled_from(["reference", "torch", "float64", "original"]),
    status=st.sampled_from(["equal", "differs", "behaviour change", "not run"]),
    seed=ids,
    original_error=st.none() | st.floats(0, 1e9),
    candidate_error=st.none() | st.floats(0, 1e9),
)
differentials = st.builds(
    records.Differential,
    cases=st.lists(checked, max_size=2).map(tuple),
    behaviour_changes=st.lists(text, max_size=2).map(tuple),
    not_covered=st.lists(text, max_size=2).map(tuple),
    seed=ids,
    seconds=st.floats(0, 1e3),
    budget_s=st.floats(0, 1e3),
)
verdicts = st.one_of(
    st.builds(records.Broken, trace=text, kernel=st.none() | text),
    st.builds(records.Failed, cases=st.lists(outcomes, max_size=2).map(tuple), passed=ids),
    st.builds(
        records.Differs,
        cases=st.lists(text, max_size=2).map(tuple),
        found=st.lists(checked, max_size=2).map(tuple),
    ),
    st.builds(records.Cheated, reason=text, detail=text),
    st.builds(records.TimedOut, stage=st.just("tests"), limit_s=st.floats(0, 1e6)),
    st.builds(
        records.Correct,
        tests=st.lists(outcomes, max_size=2).map(tuple),
        launches=st.lists(launches, max_size=2).map(tuple),
        compiled=st.just(()),
        timing=st.builds(records.Untimed, reason=text)
        | st.builds(
            records.Timing,
            cases=st.lists(cases, max_size=2).map(tuple),
            environment=st.dictionaries(text, text, max_size=2),
        ),
        differential=st.none() | differentials,
    ),
)
blobs = st.lists(st.binary(max_size=200), max_size=4)
messages = st.one_of(
    st.builds(protocol.Ping, id=ids),
    st.builds(protocol.Cancel, id=ids, target=ids),
    st.builds(protocol.Collect, id=ids, tests=st.lists(text, max_size=3).map(tuple)),
    st.builds(
        protocol.Evaluate,
        id=ids,
        unit=units,
        text=text,
        nodes=st.lists(text, max_size=3).map(tuple),
        launches=st.lists(launches, max_size=2).map(tuple),
        seed=ids,
    ),
    st.builds(
        protocol.Open,
        id=ids,
        root=text,
        files=st.lists(
            st.builds(protocol.FileEntry, path=text, sha256=text, mode=ids, size=ids), max_size=3
        ).map(tuple),
        in_place=st.booleans(),
        device=text,
        arch=st.none() | text,
        env=st.dictionaries(text, text, max_size=2),
    ),
    st.builds(
        protocol.Done, id=ids, result=verdicts, stage_s=st.dictionaries(text, st.floats(0, 9))
    ),
    st.builds(protocol.Failure, id=ids, failure=st.just("internal"), message=text),
    blobs.flatmap(
        lambda parts: st.builds(
            protocol.Blobs,
            id=ids,
            digests=st.just(("d",) * len(parts)),
            blobs=st.just(tuple(parts)),
        )
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(messages, max_size=4), st.data())
def test_any_messages_in_any_pieces_arrive_as_they_were(sent, data):
    stream = b"".join(encode_frame(message) for message in sent)
    reader, received = FrameReader(), []
    while stream:
        n = data.draw(st.integers(1, len(stream)))
        received += reader.feed(stream[:n])
        stream = stream[n:]
    assert received == sent


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_never_becomes_a_message(garbage):
    try:
        received = FrameReader().feed(garbage)
    except ProtocolError:
        return
    assert received == []


@settings(max_examples=60, deadline=None)
@given(messages, st.data())
def test_one_flipped_byte_is_refused_or_still_a_message(message, data):
    frame = bytearray(encode_frame(message))
    index = data.draw(st.integers(0, len(frame) - 1))
    frame[index] ^= data.draw(st.integers(1, 255))
    try:
        received = FrameReader().feed(bytes(frame))
    except ProtocolError:
        return
    assert len(received) <= 1


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack(">II", protocol.MAX_HEAD + 1, 0),
        struct.pack(">II", 2, protocol.MAX_BODY + 1),
        struct.pack(">II", 2, 0) + b"{}",
        struct.pack(">II", 4, 0) + b"null",
        struct.pack(">II", 2, 0) + b"[]",
    ],
)
def test_frames_out_of_bounds_or_form_are_refused(frame):
    with pytest.raises(ProtocolError):
        FrameReader().feed(frame)


def test_blob_sizes_that_do_not_add_up_are_refused():
    head = json.dumps({"kind": "Blobs", "id": 1, "digests": ["a"], "blobs": [3]}).encode()
    with pytest.raises(ProtocolError, match="add up"):
        FrameReader().feed(struct.pack(">II", len(head), 2) + head + b"xy")


def test_a_field_from_a_later_version_is_ignored():
    head = json.dumps({"kind": "Ping", "id": 7, "mood": "sunny"}).encode()
    assert FrameReader().feed(struct.pack(">II", len(head), 0) + head) == [protocol.Ping(id=7)]
