"""The list of conversations: what is kept of each."""

from datetime import UTC, datetime

from domain.conversation import Conversation
from domain.conversation_forks import Cut
from domain.copied_history import MOST_TOGETHER
from domain.turn import Reply
from projections.conversations import changed
from projections.recorded import Recorded
from tests.domain.test_conversation import AGENT, asked
from tests.domain.test_conversation_forks import forked


def test_a_fork_counts_all_turns_that_it_was_begun_with_whatever_events_they_stand_in():
    origin, turn = asked("First?")
    for _ in range(MOST_TOGETHER):
        origin.complete(turn, Reply(content="Yes."))
        turn = origin.post(content="And?", agent=AGENT)
    origin.interrupt(turn)
    made = forked(origin, Cut.after(origin, None))
    change = None
    copies = [each for each in made.collect_events() if not isinstance(each, Conversation.Created)]
    for version, event in enumerate(copies, 2):
        entry = Recorded(
            position=version, stream=made.id, version=version, event=event, recorded_at=datetime(2026, 1, 1, tzinfo=UTC)
        )
        change = changed(change, entry)
    assert change is not None
    assert (change.turns, change.state) == (MOST_TOGETHER + 1, "interrupted")
