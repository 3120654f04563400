"""Pieces of a fast stream are taken together; those of any other as they come."""

from adapters.openai import pace
from adapters.openai.pace import SURE, TOGETHER, Pace

QUICK, SLOW = pace.QUICK / 10, pace.QUICK * 2


def paced(*waits: float) -> Pace:
    found = Pace()
    for waited in waits:
        found.came(waited)
    return found


def test_a_stream_that_is_quick_again_and_again_is_read_in_pauses():
    assert paced(*[QUICK] * SURE).pause == TOGETHER


def test_a_short_answer_is_read_as_it_comes():
    assert paced(*[QUICK] * (SURE - 1)).pause == 0


def test_a_stream_that_becomes_slow_is_read_as_it_comes_at_once():
    assert paced(*[QUICK] * 100, SLOW).pause == 0


def test_a_stream_whose_pieces_come_slowly_never_waits():
    assert {paced(*[SLOW] * count).pause for count in range(3 * SURE)} == {0.0}
