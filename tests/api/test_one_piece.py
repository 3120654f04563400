"""What is written in one turn of the event loop leaves in one piece, in order, and before a connection closes."""

import asyncio

import pytest

from api.one_piece import OnePiece


class Noted(asyncio.Transport):
    """A transport that notes what is done with it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[bytes | str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.done.append(bytes(data))

    def write_eof(self) -> None:
        self.done.append("eof")

    def close(self) -> None:
        self.done.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.done


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
async def transport(noted: Noted) -> OnePiece:
    return OnePiece(noted, asyncio.get_running_loop())


async def test_a_head_and_its_body_are_one_piece(transport: OnePiece, noted: Noted):
    transport.write(b"head")
    assert noted.done == []
    transport.write(b"body")
    assert noted.done == [b"headbody"]


async def test_what_nothing_follows_leaves_at_the_end_of_the_turn(transport: OnePiece, noted: Noted):
    transport.write(b"head")
    await asyncio.sleep(0)
    assert noted.done == [b"head"]
    await asyncio.sleep(0)
    assert noted.done == [b"head"], "it is sent once"


@pytest.mark.parametrize("ended", [("write_eof", "eof"), ("close", "closed")])
async def test_what_was_kept_leaves_before_the_end(transport: OnePiece, noted: Noted, ended: tuple[str, str]):
    way, noticed = ended
    transport.write(b"refused")
    getattr(transport, way)()
    assert noted.done == [b"refused", noticed]
    await asyncio.sleep(0)
    assert noted.done == [b"refused", noticed]


async def test_all_else_is_the_transports_own(transport: OnePiece, noted: Noted):
    assert not transport.is_closing()
    transport.close()
    assert transport.is_closing()


async def test_what_was_kept_for_who_has_gone_meanwhile_is_let_go(transport: OnePiece, noted: Noted):
    transport.write(b"head")
    noted.close()  # the connection was lost
    await asyncio.sleep(0)
    assert noted.done == ["closed"]
