"""Streams without a device: who waits for whom."""

from __future__ import annotations

import pytest

from whet_evaluator.worker import streams


def waits_on_the_current_stream(side):
    streams.current(None).wait_stream(side)


def waits_for_an_event(side):
    event = side.record_event()
    streams.current(None).wait_event(event)


def waits_for_an_event_recorded_inside(side):
    with streams.on(side):
        event = streams.Event()
        event.record()
    event.wait()


WAITS = [
    waits_on_the_current_stream, waits_for_an_event, waits_for_an_event_recorded_inside,
    lambda side: side.synchronize(), lambda side: streams.synchronize(),
]  # fmt: skip


@pytest.mark.parametrize("wait", WAITS)
def test_work_on_a_side_stream_must_be_waited_for(wait):
    side = streams.Stream()
    streams.begin()
    with streams.on(side):
        streams.note_launch()
    assert streams.is_work_left()
    streams.Stream().synchronize()  # another one
    assert streams.is_work_left()
    wait(side)
    assert not streams.is_work_left()


def test_the_callers_own_stream_is_the_callers_to_wait_for():
    with streams.on(streams.Stream()), streams.on(None):
        streams.begin()
        streams.note_launch()
        assert not streams.is_work_left()
        with streams.Stream():
            streams.note_launch()
        assert streams.is_work_left()
    streams.begin()
    assert not streams.is_work_left()
