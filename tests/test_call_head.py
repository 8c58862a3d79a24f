"""What the first key of a JSON object says about it, however the object arrives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toolmend._blocks import NotHere
from toolmend._json_body import CallHead

SPACES = (" ", "\n", "\t", "\r", "\x1c", "\x0b", "\xa0", "\x85", "\u2028")
BITS = st.sampled_from(
    ("{", "[", *SPACES, '"name"', '"tool"', "'name'", "name", '"a"', ":", '"ping"', '"pi', 'ng"', "1")
)


def refused(*pieces: str) -> bool:
    head = CallHead({"ping"})
    try:
        for piece in pieces:
            head.feed(piece)
    except NotHere:
        return True
    return False


@given(st.lists(BITS, max_size=8))
def test_pieces_say_the_same_as_the_whole(bits: list[str]) -> None:
    text = "".join(['{"name"'[: len(bits)], *bits])
    assert refused(*text) == refused(text)


@given(st.sampled_from(SPACES), st.sampled_from(SPACES), st.sampled_from(SPACES))
def test_any_white_space(first: str, second: str, third: str) -> None:
    text = f'{{{first}"name"{second}:{third}"ping"'
    assert refused(*text) == refused(text)
