"""What supervised processes print, line by line; with real processes in test_supervisor.py."""

import os
from typing import IO

import pytest

from webhooks_app.jobs.supervised_output import SupervisedOutput


def pipe() -> tuple[IO[bytes], int]:
    reading, writing = os.pipe()
    return os.fdopen(reading, "rb", buffering=0), writing


@pytest.fixture
def output() -> SupervisedOutput:
    return SupervisedOutput(["web", "worker"], awaited=["web"], welcome="Welcome.")


def test_a_line_is_printed_whole_however_it_comes(
    output: SupervisedOutput, capsys: pytest.CaptureFixture[str]
) -> None:
    source, writing = pipe()
    follower = output.follow("worker", source, says_ready=False)
    for part in (b"a l", b"ong ", b"line\nand", b" one\xff without end"):
        os.write(writing, part)
        output.wait(1)
    os.close(writing)
    output.finish(follower)
    assert capsys.readouterr().out == " worker | a long line\n worker | and one\ufffd without end\n"
    assert follower.is_over
    assert source.closed


def test_a_line_without_an_end_is_printed_in_pieces(
    output: SupervisedOutput, capsys: pytest.CaptureFixture[str]
) -> None:
    source, writing = pipe()
    follower = output.follow("worker", source, says_ready=False)
    for part in (b"x" * (64 * 1024 - 1) + b"\xc3", b"\xa4", b"y" * (64 * 1024 - 5), "😀".encode() * 2):
        os.write(writing, part)
        output.wait(1)
    os.close(writing)
    output.finish(follower)
    lines = [each.removeprefix(" worker | ") for each in capsys.readouterr().out.splitlines()]
    assert lines == ["x" * (64 * 1024 - 1), "ä" + "y" * (64 * 1024 - 5) + "😀😀"]


def test_another_ones_lines_are_taken_while_the_end_of_one_is_awaited(
    output: SupervisedOutput, capsys: pytest.CaptureFixture[str]
) -> None:
    (ended, its_end), (lasting, other_end) = pipe(), pipe()
    follower = output.follow("worker", ended, says_ready=False)
    other = output.follow("web", lasting, says_ready=True)
    os.write(other_end, b"ready\nready\n")
    os.write(its_end, b"over\n")
    os.close(its_end)
    output.finish(follower)
    output.wait(0)
    assert sorted(capsys.readouterr().out.splitlines()) == [" web    | ready", " worker | over", "Welcome."]
    os.close(other_end)
    output.finish(other)


def test_a_descendant_that_keeps_the_output_open_is_not_waited_for(output: SupervisedOutput) -> None:
    source, writing = pipe()
    follower = output.follow("worker", source, says_ready=False)
    output.finish(follower)
    assert not follower.is_over
    os.close(writing)
    output.finish(follower)
    assert follower.is_over
