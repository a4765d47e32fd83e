"""Messages between parent and worker survive the pipe; everything else is chatter or an error."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionsim.errors import ProtocolError
from visionsim.simulation.protocol import MARKER, Done, Failed, Hello, Request, decode, encode

TEXT = st.text(max_size=40)  # Includes newlines, separators, NUL and non-Latin text.
NUMBERS = st.integers(-(2**53), 2**53)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(TEXT, VALUES, max_size=5)
MESSAGES = st.one_of(
    st.builds(Hello, protocol=NUMBERS, blender=TEXT, python=TEXT, pid=NUMBERS),
    st.builds(Request, id=NUMBERS, do=TEXT, arguments=DOCUMENTS),
    st.builds(Done, id=NUMBERS, value=DOCUMENTS),
    st.builds(Failed, id=NUMBERS, kind=st.sampled_from(["request", "scene", "frame"]), message=TEXT, trace=TEXT),
)


@given(MESSAGES)
def test_every_message_survives_the_round_trip(message):
    assert decode(encode(message)) == message


@given(MESSAGES)
def test_every_message_is_one_marked_line(message):
    line = encode(message)
    assert line.startswith(MARKER)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1 and b"\r" not in line


@given(st.binary(max_size=60).filter(lambda line: not line.startswith(MARKER)))
def test_unmarked_line_is_chatter(line):
    assert decode(line) is None


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"Fra:1 Mem:10M\n", b'{"hello": {}}\n', b" " + MARKER + b'{"id": 1, "ok": {}}\n']
)
def test_blender_chatter_is_not_a_message(line):
    assert decode(line) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"not json\n",
        b"\xff\xfe\n",
        b"5\n",
        b"null\n",
        b"[1]\n",
        b'"hello"\n',
        b"{}\n",
        b'{"id": 1}\n',
        b'{"ok": {}}\n',
        b'{"id": 1, "do": "render"}\n',
        b'{"hello": {"protocol": 1}}\n',
        b'{"hello": {"protocol": 1, "blender": "", "python": "", "pid": 1, "surplus": 1}}\n',
        b'{"id": 1, "error": {"kind": "frame"}}\n',
        b'{"id": 1, "error": "text"}\n',
    ],
)  # fmt: skip
def test_malformed_marked_line_is_a_protocol_error(body):
    with pytest.raises(ProtocolError, match=r"(?i)message"):
        decode(MARKER + body)


@given(MESSAGES, st.data())
def test_torn_message_is_a_protocol_error(message, data):
    line = encode(message)
    # Without its newline alone a message is still whole.
    torn = line[: data.draw(st.integers(1, len(line) - 2))]
    with pytest.raises(ProtocolError):
        decode(torn)


def test_error_quotes_the_line_but_not_all_of_a_long_one():
    with pytest.raises(ProtocolError) as caught:
        decode(MARKER + b"x" * 100_000)
    assert "xxxx" in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_has_not_are_refused(value):
    with pytest.raises(ValueError):
        encode(Done(1, {"depth": value}))


def test_request_looks_as_documented():
    line = encode(Request(7, "render", {"frame": 3}))
    assert json.loads(line[1:]) == {"id": 7, "do": "render", "with": {"frame": 3}}
