"""What terminals are sent, decoded as their documents say."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from visionsim.preview.terminal import blocks, drawn, iterm2, kitty, method_of, sixel


@pytest.fixture
def picture() -> np.ndarray:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (37, 61, 3), np.uint8)


@pytest.mark.parametrize(
    ("environ", "method"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app", "TERM": "xterm-256color"}, "iterm2"),
        ({"TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "xterm-256color"}, "blocks"),
        ({"TERM": "tmux-256color", "TMUX": "/run/tmux,1,0", "KITTY_WINDOW_ID": "1"}, "blocks"),
    ],
)
def test_method_is_known_by_variables(environ, method) -> None:
    assert method_of(True, True, environ) == method
    assert method_of(False, True, environ) == "no" and method_of(True, False, environ) == "no"


def test_kitty_gets_png_in_pieces(picture) -> None:
    commands = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", kitty(picture, 80))
    assert len(commands) > 1 and commands[0][0] == "a=T,f=100,m=1" and commands[-1][0] == "m=0"
    assert all(len(data) <= 4096 and len(data) % 4 == 0 for _, data in commands)
    image = Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in commands))))
    assert np.array_equal(np.asarray(image), picture)
    assert ",c=4," in kitty(picture, 4)


def test_iterm2_gets_png(picture) -> None:
    match = re.fullmatch(
        r"\x1b]1337;File=inline=1;size=(\d+);width=auto;preserveAspectRatio=1:(.*)\x07", iterm2(picture, 80)
    )
    assert match is not None
    data = base64.b64decode(match[2])
    assert len(data) == int(match[1]) and np.array_equal(np.asarray(Image.open(io.BytesIO(data))), picture)


def test_sixels_are_the_picture() -> None:
    rows, columns = np.mgrid[:20, :30]
    picture = np.array([[255, 0, 0], [0, 0, 255], [51, 204, 102]], np.uint8)[(rows // 7 + columns // 5) % 3]
    match = re.fullmatch(r'\x1bPq"1;1;30;20(.*)\x1b\\', sixel(picture, 80))
    assert match is not None
    palette, shown = {}, np.zeros((24, 30, 3), int)
    x = y = colour = 0
    for number, definition, count, character in re.findall(r"#(\d+)((?:;\d+){4})?|(?:!(\d+))?([?-~$-])", match[1]):
        if definition:
            _, model, *rgb = definition.split(";")
            assert model == "2"
            palette[int(number)] = [int(value) * 255 / 100 for value in rgb]
        elif number:
            colour = int(number)
        elif character == "$":
            x = 0
        elif character == "-":
            x, y = 0, y + 6
        else:
            for _ in range(int(count or 1)):
                for bit in range(6):
                    if (ord(character) - 63) >> bit & 1:
                        shown[y + bit, x] = palette[colour]
                x += 1
    assert np.abs(shown[:20] - picture).max() <= 3 and not shown[20:].any()


def test_blocks_are_two_pixels_each(picture) -> None:
    lines = blocks(picture, 80).split("\n")
    assert len(lines) == 19
    for row, line in enumerate(lines):
        assert line.endswith("\x1b[0m") and line.count("▀") == 61
        colours = re.findall(r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀", line)
        assert [list(map(int, six[:3])) for six in colours] == picture[2 * row].tolist()
        assert [list(map(int, six[3:])) for six in colours] == picture[min(2 * row + 1, 36)].tolist()
    assert max(line.count("▀") for line in blocks(picture, 20).split("\n")) == 20


def test_no_method_draws_nothing(picture) -> None:
    assert drawn(picture, "no", 80) == "" and drawn(picture, "blocks", 80) == blocks(picture, 80)
