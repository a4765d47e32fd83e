"""Previews of a small dataset, decoded again."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests import synthetic
from visionsim.dataset.reader import Dataset
from visionsim.errors import ConfigError, InputNotFound
from visionsim.io.video import read_video
from visionsim.preview.colours import paint
from visionsim.preview.legends import resized
from visionsim.preview.run import preview_datasets
from visionsim.preview.survey import survey
from visionsim.preview.videos import arranged, single_size, tile_size

KINDS = ("frames", *synthetic.KINDS)
NAME = "balls/001-00005-00012"
ENLARGED = 4  # 120 x 80 pixels are shown as 480 x 320.


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("rendered")
    synthetic.write_dataset(root / "renders" / NAME)
    synthetic.write_dataset(root / "renders" / "other" / "001-00005-00008", num_frames=3, kinds=("depths",))
    return root


@pytest.fixture(scope="module")
def previewed(rendered, ffmpeg) -> Path:
    """With all its videos."""
    report = preview_datasets(rendered)
    assert (report.exit_code, len(report.videos), report.kept) == (0, 7 + 3 + 2, 0)
    return rendered


@pytest.fixture
def copied(previewed, tmp_path) -> Path:
    """The same, to be changed; files keep their times."""
    return Path(shutil.copytree(previewed, tmp_path / "copied"))


def folder_of(root: Path, name: str = NAME) -> Path:
    return root / "previews" / name


def frames_of(path: Path, width: int = 480, height: int = 320) -> list[np.ndarray]:
    return list(read_video(path, width, height))


@pytest.mark.parametrize("kind", KINDS)
def test_video_shows_every_frame_in_colours_of_the_whole_sequence(previewed, kind) -> None:
    dataset = Dataset.from_path(previewed / "renders" / NAME)
    ranges = survey(dataset, dataset.kinds).ranges
    frames = frames_of(folder_of(previewed) / f"{kind}.mp4")
    assert len(frames) == len(dataset) == 7
    for sample, frame in zip(dataset, frames, strict=True):
        expected = resized(paint(kind, sample.read(kind), ranges), 480, 320)
        middles = (slice(2, 200, ENLARGED), slice(2, None, ENLARGED))  # Of pixels, above the legend.
        difference = np.abs(frame[middles].astype(int) - expected[middles])
        # Half the colours, and sharp edges: few pixels may be off.
        assert np.mean(difference) < 3.5 and np.mean(difference.max(axis=-1) > 30) < 0.05


def test_video_plays_everywhere(previewed, ffmpeg) -> None:
    for path in previewed.rglob("*.mp4"):
        data = path.read_bytes()
        assert 0 < data.index(b"moov") < data.index(b"mdat")  # It plays while it loads.
    one_of_each = [folder_of(previewed) / "frames.mp4", folder_of(previewed) / "depths.mp4"]
    one_of_each += [folder_of(previewed) / "grid.mp4", previewed / "previews" / "sequences-frames.mp4"]
    for path in one_of_each:
        words = subprocess.run([ffmpeg, "-hide_banner", "-i", path], capture_output=True, text=True).stderr
        assert "h264 (High)" in words and "yuv420p(tv, bt709" in words and "25 fps" in words
        sizes = [int(side) for match in re.findall(r", (\d+)x(\d+)[, ]", words) for side in match]
        assert len(sizes) == 2 and sizes[0] % 2 == sizes[1] % 2 == 0


def test_grid_has_a_tile_for_each_kind(previewed) -> None:
    dataset = Dataset.from_path(previewed / "renders" / NAME)
    ranges = survey(dataset, dataset.kinds).ranges
    frames = frames_of(folder_of(previewed) / "grid.mp4", 3 * 480, 2 * 320)
    assert len(frames) == 7
    for place, kind in enumerate(KINDS):
        row, column = divmod(place, 3)
        tile = frames[4][row * 320 + 82 : row * 320 + 200 : 4, column * 480 + 202 : column * 480 + 400 : 4]
        expected = resized(paint(kind, dataset[4].read(kind), ranges), 480, 320)[82:200:4, 202:400:4]
        assert np.mean(np.abs(tile.astype(int) - expected)) < 6


def test_videos_over_sequences_go_on_until_the_longest_is_over(previewed) -> None:
    frames = frames_of(previewed / "previews" / "sequences-frames.mp4", 960, 320)
    assert len(frames) == 7
    last, over = frames[2][:, 480:], frames[6][:, 480:]  # Of three frames: its last one, darker.
    assert over.mean() == pytest.approx(last.mean() / 2, rel=0.05) and frames[6][:, :480].mean() > 1.5 * over.mean()
    assert not (previewed / "previews" / "sequences-flows.mp4").exists()  # Only one has them.


def test_what_is_up_to_date_is_kept(copied) -> None:
    times = {path: path.stat().st_mtime_ns for path in copied.rglob("*.mp4")}
    report = preview_datasets(copied)
    assert (report.exit_code, report.kept, len(report.videos)) == (0, 12, 12)
    assert times == {path: path.stat().st_mtime_ns for path in copied.rglob("*.mp4")}
    assert preview_datasets(copied, force=True, kinds=["frames"]).kept == 0


def test_only_what_changed_is_made_again(copied) -> None:
    path = copied / "renders" / NAME / "depths" / "depth_000006.exr"
    os.utime(path, (1e9, 1e9))
    video = folder_of(copied) / "normals.mp4"
    video.write_bytes(video.read_bytes()[:-10])
    (folder_of(copied) / "flows.mp4").unlink()
    report = preview_datasets(copied)
    made = {row.name: sorted(set(row.made.videos) - set(row.made.kept)) for row in report.sequences}
    assert made == {NAME: ["depths", "flows", "grid", "normals"], "other/001-00005-00008": []}
    assert report.mosaics_kept == ["frames"]
    assert preview_datasets(copied).kept == 12


def test_other_colours_and_rates_are_made_again(copied) -> None:
    report = preview_datasets(copied, flow_direction="backward", kinds=["flows"], fps=10)
    assert report.sequences[0].made.kept == [] and set(report.sequences[0].made.videos) == {"flows"}
    report = preview_datasets(copied, flow_direction="backward", kinds=["flows"], fps=10)
    assert report.sequences[0].made.kept == ["flows"]


def damage(root: Path) -> None:
    path = root / "renders" / NAME / "depths" / "depth_000006.exr"
    path.write_bytes(path.read_bytes()[:-40])
    (root / "renders" / NAME / "flows" / "flow_000009.exr").unlink()


def test_damaged_frames_are_named_and_marked_and_the_rest_is_shown(copied, monkeypatch) -> None:
    monkeypatch.setattr("visionsim.preview.run.ALONE", 0)
    before = frames_of(folder_of(copied) / "depths.mp4")
    damage(copied)
    counts: list[int] = []
    kinds = ["depths", "normals", "flows"]
    report = preview_datasets(copied, kinds=kinds, jobs=2, page=False, progress=lambda done, _: counts.append(done))
    assert report.exit_code == 1 and len(report.videos) == 4 + 1 + 1
    assert [(item.sequence, item.frame) for item in report.damaged] == [(NAME, 6), (NAME, 9)]
    assert "depth_000006.exr" in report.damaged[0].message and "flow_000009.exr" in report.damaged[1].message
    assert [row.made.kept for row in report.sequences] == [["normals"], ["depths"]]
    assert counts[-1] == 10
    after = frames_of(folder_of(copied) / "depths.mp4")
    assert len(after) == 7
    different = [np.mean(np.abs(a.astype(int) - b)) for a, b in zip(after, before, strict=True)]
    assert np.argmax(different) == 1 and different[1] > 40 and max(different[:1] + different[2:]) < 12
    red = after[1].astype(int)
    assert red[..., 0].mean() > 2 * red[..., 1].mean()
    # A video with a placeholder is never up to date; and one process makes what two did.
    (folder_of(copied) / "depths.mp4").write_bytes(b"")
    again = preview_datasets(copied, kinds=kinds, jobs=1, page=False)
    assert again.exit_code == 1 and again.damaged == report.damaged
    assert [row.made.kept for row in again.sequences] == [["normals"], ["depths"]]
    for a, b in zip(frames_of(folder_of(copied) / "depths.mp4"), after, strict=True):
        assert np.array_equal(a, b)


def test_without_skips_a_damaged_kind_gets_no_video(copied) -> None:
    damage(copied)
    report = preview_datasets(copied, allow_skips=False, page=False)
    assert report.exit_code == 1 and len(report.damaged) == 2
    (failed, fine) = (row.made for row in report.sequences)
    assert failed.failed == dict.fromkeys(["depths", "grid"], "frame 6 cannot be read") | {
        "flows": "frame 9 cannot be read"
    }
    shown = sorted(path.stem for path in folder_of(copied).glob("*.mp4"))
    assert shown == ["frames", "normals", "occlusions", "segmentations"]
    assert not fine.failed and not list(copied.rglob(".*partial*"))
    assert "no video of depths: frame 6 cannot be read" in report.sequences[0].failures


def test_damaged_document_and_unfinished_sequence_leave_the_others(copied) -> None:
    (copied / "renders" / NAME / "transforms.json").write_text("{")
    synthetic.write_dataset(copied / "renders" / "new" / "001-00005-00008", num_frames=1)
    (copied / "renders" / "new" / "001-00005-00008" / "transforms.json").unlink()
    report = preview_datasets(copied)
    assert report.exit_code == 1 and report.unfinished == ["new/001-00005-00008"]
    assert "transforms.json" in report.sequences[0].error and len(report.sequences[1].made.videos) == 3
    page = report.page.read_text()
    assert "transforms.json is damaged" in page and "new/001-00005-00008: stopped, 1 frames are there" in page


def test_request_that_cannot_be_met_writes_nothing(tmp_path, monkeypatch) -> None:
    synthetic.write_dataset(tmp_path / "data", num_frames=1, kinds=("depths",))
    before = sorted(tmp_path.rglob("*"))
    for options, message in (
        ({"kinds": ["flows"]}, "--kinds=flows: there are only frames, depths"),
        ({"fps": 0.0}, r"--fps=0.0: must be from 0.01 to 1000"),
        ({"fps": float("nan")}, "must be from 0.01"),
    ):
        with pytest.raises(ConfigError, match=message):
            preview_datasets(tmp_path, **options)
    with pytest.raises(InputNotFound, match="folder to preview does not exist"):
        preview_datasets(tmp_path / "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    with pytest.raises(ConfigError, match="need ffmpeg"):
        preview_datasets(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    assert preview_datasets(tmp_path, videos=False).exit_code == 0  # A page needs no ffmpeg.


def test_ffmpeg_that_fails_is_a_failure_of_its_sequence(copied, tmp_path, monkeypatch) -> None:
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho No space left on device >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    report = preview_datasets(copied, force=True)
    assert report.exit_code == 1 and all("No space left on device" in row.error for row in report.sequences)
    assert not list(copied.rglob(".*partial*"))


def test_root_may_be_a_sequence(rendered, ffmpeg, tmp_path) -> None:
    root = Path(shutil.copytree(rendered / "renders" / NAME, tmp_path / "lonely"))
    report = preview_datasets(root / "transforms.json", kinds=["frames"])
    assert [path.relative_to(root).as_posix() for path in report.videos] == ["previews/lonely/frames.mp4"]
    assert json.loads((root / "previews" / "lonely" / "previews.json").read_text())["videos"].keys() == {"frames"}
    assert report.page == root / "report.html"
    assert list(Dataset.from_path(root).sequences()) == ["lonely"]  # Previews are no sequences.


def test_sizes_fit_players() -> None:
    assert single_size(120, 80) == (480, 320) and single_size(800, 800) == (800, 800)
    assert single_size(7680, 4320) == (3840, 2160)
    for width, height in ((64, 64), (800, 800), (1920, 1080), (500, 4000), (7680, 4320)):
        for count in (2, 3, 5, 16):
            columns, rows = arranged(count, width / height)
            assert columns * rows >= count
            tile = tile_size(width, height, columns, rows)
            assert columns * tile[0] <= 1920 and rows * tile[1] <= 1200
    assert arranged(5, 4 / 3) == (3, 2)
