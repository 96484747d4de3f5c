"""Where the dashboard listens, and what it says about that."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from app.commands.ui import _announce
from app.main import UnknownHost, bind, check_host


def test_a_taken_port_moves_on_to_the_next_free_one() -> None:
    with closing(bind("127.0.0.1", 0)) as first:
        taken = first.getsockname()[1]
        with closing(bind("127.0.0.1", taken)) as second:
            assert second.getsockname()[1] > taken


def test_a_browser_that_is_early_waits_instead_of_being_refused() -> None:
    with closing(bind("127.0.0.1", 0)) as listener:
        early = socket.create_connection(listener.getsockname(), timeout=5)
        early.sendall(b"GET / HTTP/1.1\r\n")
        accepted, _ = listener.accept()

        assert accepted.recv(3) == b"GET"
        accepted.close()
        early.close()


def test_a_small_answer_is_sent_at_once() -> None:
    """Answers go in two parts; the second would wait 40 ms until the first is acknowledged."""

    async def served() -> int:
        waits: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ours = writer.get_extra_info("socket")
            waits.set_result(ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = bind("127.0.0.1", 0)
        async with await asyncio.start_server(answer, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            writer.close()
            return await asyncio.wait_for(waits, timeout=10)

    with ThreadPoolExecutor() as pool:  # a browser test before this one left a loop in this thread
        assert pool.submit(asyncio.run, served()).result() == 1


def test_a_port_that_was_asked_for_and_is_taken_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _announce(7860, "http://127.0.0.1:7861")

    said = capsys.readouterr()
    assert said.err == "port 7860 is taken: this is the next free one\n"
    assert said.out == "seglab is at http://127.0.0.1:7861  (Ctrl-C stops it)\n"


@pytest.mark.parametrize("asked", [None, 0, 7861])
def test_a_port_that_nobody_asked_for_is_not_missed(
    capsys: pytest.CaptureFixture[str], asked: int | None
) -> None:
    _announce(asked, "http://127.0.0.1:7861")

    assert capsys.readouterr().err == ""


def test_a_host_that_is_no_name_is_said_to_be_none() -> None:
    with pytest.raises(UnknownHost, match=r"host nonsense\.invalid: the name does not resolve"):
        check_host("nonsense.invalid")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "0.0.0.0"])
def test_addresses_need_no_name(host: str) -> None:
    check_host(host)
