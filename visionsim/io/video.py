"""Videos: ffmpeg as a subprocess that is fed raw frames, or gives them back.

ffmpeg's documentation: https://ffmpeg.org/ffmpeg.html and https://trac.ffmpeg.org/wiki/Encode/H.264.
"""

from __future__ import annotations

import contextlib
import glob
import importlib
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from visionsim.errors import ConfigError, VideoError
from visionsim.files import whole_file
from visionsim.types import check_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rgb = NDArray[np.uint8]
    """(H, W, 3)."""

__all__ = ["VideoWriter", "find_ffmpeg", "read_video", "writing_video"]

QUALITY = 16
"""x264's constant rate factor: 0 is lossless, 18 looks so."""

THREADS = 2
"""Of the encoder: always as many, since its bytes depend on their number."""

TAIL = 600
"""Characters of ffmpeg's last words that a message repeats."""

BT709 = [
    "-vf",
    "scale=in_range=pc:out_range=tv:out_color_matrix=bt709,"
    "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709",
    *"-color_range tv -colorspace bt709 -color_primaries bt709 -color_trc bt709".split(),
]
"""Without it ffmpeg uses the matrix of standard definition, and players that of high definition.

It is said twice: ffmpeg 4 takes the tags from the options, ffmpeg 7 and later from the filter.
"""


def find_ffmpeg() -> str:
    """The ffmpeg on PATH, else that of the wheel imageio-ffmpeg.

    Raises:
        ConfigError: there is neither.
    """
    path = shutil.which("ffmpeg")
    if path is not None:
        return path
    try:
        return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError) as exc:  # It is not installed, or has no program for this machine.
        raise ConfigError(
            "Videos need ffmpeg, which is neither on PATH nor in Python: install your system's package ffmpeg, or its "
            "wheel with: pip install 'visionsim[video]'"
        ) from exc


class VideoWriter:
    """A video that is being encoded. Frames all have one size."""

    def __init__(self, process: subprocess.Popen[bytes], words: IO[bytes], path: Path, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.frames = 0
        self._process, self._words, self._path = process, words, path

    def write(self, frame: Rgb) -> None:
        """Add a frame.

        Args:
            frame: (H, W, 3) uint8, sRGB.
        Raises:
            VideoError: ffmpeg has ended; the message has its last words.
        """
        check_shape("frame", frame, (self.height, self.width, 3))
        # H.264 with half the colours has even sides: the last row and column are there twice.
        even = np.pad(frame, ((0, self.height % 2), (0, self.width % 2), (0, 0)), mode="edge")
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(even).data)
        except OSError as exc:
            raise failure("encode", self._path, self._process, self._words) from exc
        self.frames += 1

    def close(self) -> None:
        """Let ffmpeg finish the file.

        Raises:
            VideoError: it could not.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # Its exit code tells.
            self._process.stdin.close()
        if self._process.wait() != 0:
            raise failure("encode", self._path, self._process, self._words)


@contextmanager
def writing_video(path: Path, width: int, height: int, fps: float) -> Iterator[VideoWriter]:
    """Encode a video, H.264 with half the colours (yuv420p) in an MP4 that plays while it loads.

    The file is there, whole, when the block has ended well; a side of odd length gets one pixel more.

    Raises:
        ConfigError: there is no ffmpeg.
        VideoError: ffmpeg failed.
    """
    rate = Fraction(fps).limit_denominator(1001)
    source = ["-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", f"{width + width % 2}x{height + height % 2}"]
    source += ["-framerate", f"{rate.numerator}/{rate.denominator}", "-i", "pipe:0"]
    target = [*BT709, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-crf", str(QUALITY)]
    target += ["-threads", str(THREADS), "-fflags", "+bitexact", "-flags:v", "+bitexact", "-movflags", "+faststart"]
    for left in path.parent.glob(f".{glob.escape(path.stem)}.*.partial{path.suffix}"):
        left.unlink(missing_ok=True)  # By one that was terminated.
    with whole_file(path) as partial, tempfile.TemporaryFile() as words:
        command = [find_ffmpeg(), "-hide_banner", "-loglevel", "error", "-y", *source, *target, str(partial)]
        with running(command, words, stdin=subprocess.PIPE) as process:
            writer = VideoWriter(process, words, path, width, height)
            yield writer
            writer.close()


def read_video(path: Path, width: int, height: int) -> Generator[Rgb]:
    """The frames of a video, scaled to this size: (H, W, 3) uint8, sRGB.

    Raises:
        ConfigError: there is no ffmpeg.
        VideoError: it is no video, or damaged.
    """
    command = [find_ffmpeg(), "-hide_banner", "-loglevel", "error", "-nostdin", "-i", str(path), "-threads", "1"]
    command += ["-vf", f"scale={width}:{height}:flags=area:in_color_matrix=bt709"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]
    with tempfile.TemporaryFile() as words, running(command, words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        size = width * height * 3
        while len(data := process.stdout.read(size)) == size:
            yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
        if process.wait() != 0 or data:
            raise failure("decode", path, process, words)


@contextmanager
def running(command: Sequence[str], words: IO[bytes], **pipes: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone when the block ends. It talks into a file, which cannot be full as a pipe can.

    In a group of its own: Ctrl-C is ours to handle.
    """
    pipes.setdefault("stdin", subprocess.DEVNULL)
    with subprocess.Popen(command, stderr=words, process_group=0, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()


def failure(verb: str, path: Path, process: subprocess.Popen[bytes], words: IO[bytes]) -> VideoError:
    """What became of ffmpeg, with its last words."""
    code = process.wait()
    words.seek(0)
    said = " / ".join(words.read().decode(errors="replace").split("\n")).strip(" /")[-TAIL:]
    return VideoError(f"ffmpeg could not {verb} (exit code {code}: {said or 'it said nothing'}): {path}")
