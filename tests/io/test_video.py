from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from tests.preview.conftest import ffmpeg as ffmpeg  # A fixture.
from visionsim.errors import ConfigError, ShapeError, VideoError
from visionsim.io.video import find_ffmpeg, read_video, writing_video

COLOURS = np.array(
    [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [255, 255, 0], [90, 130, 210], [128, 128, 128]],
    np.uint8,
)


def bars(height: int, width: int, first: int = 0) -> np.ndarray:
    """Colours side by side."""
    return np.ascontiguousarray(np.roll(COLOURS, first, axis=0)[np.arange(width) * 8 // width][None].repeat(height, 0))


def about(ffmpeg: str, path: Path) -> str:
    return subprocess.run([ffmpeg, "-hide_banner", "-i", path], capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize(("height", "width"), [(64, 128), (41, 127), (2, 16)])
def test_frames_come_back(ffmpeg, tmp_path, height, width) -> None:
    path = tmp_path / "a.mp4"
    with writing_video(path, width, height, 23.976) as video:
        for index in range(9):
            video.write(bars(height, width, index))
    even = (height + height % 2, width + width % 2)
    frames = list(read_video(path, even[1], even[0]))
    assert len(frames) == 9 and video.frames == 9
    for index, frame in enumerate(frames):
        assert frame.shape == (*even, 3)
        if height > 2:  # Half the colours: not next to an edge.
            middles = (np.arange(8) * 2 + 1) * width // 16
            difference = np.abs(frame[height // 2, middles].astype(int) - np.roll(COLOURS, index, axis=0))
            assert difference.max() <= 6
    words = about(ffmpeg, path)
    assert "h264 (High)" in words and "yuv420p(tv, bt709" in words and "23.98 fps" in words


@pytest.mark.parametrize("fps", [1.0, 25.0, 59.94, 1200.0])
def test_rate_is_what_was_asked_for(ffmpeg, tmp_path, fps) -> None:
    path = tmp_path / "a.mp4"
    with writing_video(path, 16, 16, fps) as video:
        for _ in range(5):
            video.write(bars(16, 16))
    assert f", {fps:g} fps" in about(ffmpeg, path).replace("1200k", "1200")
    assert len(list(read_video(path, 16, 16))) == 5


def test_same_frames_give_the_same_bytes(ffmpeg, tmp_path) -> None:
    for name in "ab":
        with writing_video(tmp_path / f"{name}.mp4", 64, 64, 25) as video:
            for index in range(5):
                video.write(bars(64, 64, index))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_nothing_is_left_of_a_video_that_was_given_up(ffmpeg, tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt), writing_video(tmp_path / "a.mp4", 16, 16, 25) as video:
        video.write(bars(16, 16))
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_frame_of_another_size_is_refused(ffmpeg, tmp_path) -> None:
    with pytest.raises(ShapeError), writing_video(tmp_path / "a.mp4", 16, 16, 25) as video:
        video.write(bars(16, 18))
    assert not list(tmp_path.iterdir())


def test_damaged_video_is_named(ffmpeg, tmp_path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video" * 100)
    with pytest.raises(VideoError, match=r"could not decode .*Invalid data.*a\.mp4"):
        list(read_video(path, 16, 16))


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """An ffmpeg that is a shell script."""

    def make(script: str) -> None:
        program = tmp_path / "bin" / "ffmpeg"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    return make


def test_last_words_of_ffmpeg_are_in_the_message(fake, tmp_path) -> None:
    fake("echo Unknown encoder libx264 >&2; exit 3")
    with pytest.raises(VideoError, match=r"\(exit code 3: Unknown encoder libx264\): .*a\.mp4"):
        with writing_video(tmp_path / "a.mp4", 256, 256, 25) as video:
            for _ in range(100):
                video.write(bars(256, 256))
    assert not (tmp_path / "a.mp4").exists()


def test_ffmpeg_that_complains_without_end_blocks_nobody(fake, tmp_path) -> None:
    fake("head -c 3000000 /dev/zero | tr '\\0' x >&2; echo >&2; cat >/dev/null; echo the end >&2; exit 1")
    with pytest.raises(VideoError, match=r"xxx / the end\)"), writing_video(tmp_path / "a.mp4", 256, 256, 25) as video:
        for _ in range(20):
            video.write(bars(256, 256))


def test_without_ffmpeg_both_ways_to_get_it_are_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ConfigError, match=r"system's package ffmpeg.*pip install 'visionsim\[video\]'"):
        find_ffmpeg()


def test_ffmpeg_of_the_wheel_is_used_where_the_system_has_none(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    wheel = types.ModuleType("imageio_ffmpeg")
    wheel.get_ffmpeg_exe = lambda: "/wheel/ffmpeg"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", wheel)
    assert find_ffmpeg() == "/wheel/ffmpeg"
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    assert find_ffmpeg() == str(tmp_path / "ffmpeg")
