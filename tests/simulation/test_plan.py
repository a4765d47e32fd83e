"""Which scenes, which frames: natural order, disjoint sequences, stretched ranges, names."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visionsim.errors import ConfigError, InputNotFound, RequestError, SamplingError
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.plan import (
    SceneInfo,
    bytes_per_frame,
    find_scenes,
    fps_of,
    sample_starts,
    sequence_id,
    stretched_range,
)


def make_files(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"BLENDER")


# Scenes.


def test_find_scenes_lists_them_in_natural_order(tmp_path):
    make_files(tmp_path, "take10.blend", "take2.blend", "take1.blend")
    assert [scene.name for scene in find_scenes(tmp_path)] == ["take1", "take2", "take10"]


def test_find_scenes_looks_one_level_down_and_no_deeper(tmp_path):
    make_files(tmp_path, "top.blend", "one/middle.blend", "one/two/deep.blend")
    found = find_scenes(tmp_path)
    assert {scene.name: scene.blend for scene in found} == {
        "top": tmp_path / "top.blend",
        "middle": tmp_path / "one" / "middle.blend",
    }


def test_find_scenes_ignores_backups_and_other_files(tmp_path):
    make_files(tmp_path, "a.blend", "a.blend1", "notes.txt", "blend")
    (tmp_path / "folder.blend").mkdir()
    assert [scene.name for scene in find_scenes(tmp_path)] == ["a"]


def test_find_scenes_keeps_dots_of_a_name(tmp_path):
    make_files(tmp_path, "room.v2.blend")
    assert [scene.name for scene in find_scenes(tmp_path)] == ["room.v2"]


def test_find_scenes_with_one_stem_in_two_folders_names_both_after_the_folder(tmp_path):
    make_files(tmp_path, "lego/scene.blend", "drums/scene.blend", "ship.blend")
    assert [scene.name for scene in find_scenes(tmp_path)] == ["drums-scene", "lego-scene", "ship"]


def test_find_scenes_that_clash_after_all_is_refused_naming_both(tmp_path):
    make_files(tmp_path, "a/x.blend", "b/x.blend", "a-x.blend")
    with pytest.raises(RequestError) as caught:
        find_scenes(tmp_path)
    for word in ("a-x", str(tmp_path / "a" / "x.blend"), str(tmp_path / "a-x.blend")):
        assert word in str(caught.value)


def test_find_scenes_of_a_missing_folder_says_so(tmp_path):
    with pytest.raises(InputNotFound, match="does not exist") as caught:
        find_scenes(tmp_path / "scenes")
    assert str(tmp_path / "scenes") in str(caught.value)


def test_find_scenes_of_a_file_says_so(tmp_path):
    make_files(tmp_path, "a.blend")
    with pytest.raises(InputNotFound, match="not a folder"):
        find_scenes(tmp_path / "a.blend")


def test_find_scenes_of_an_empty_folder_says_so(tmp_path):
    make_files(tmp_path, "one/two/deep.blend")
    with pytest.raises(InputNotFound, match=r"no \.blend"):
        find_scenes(tmp_path)


# Sequences.

RANGES = st.builds(lambda start, size: range(start, start + size), st.integers(-1000, 1000), st.integers(1, 400))


@st.composite
def fitting(draw) -> tuple[range, int, int]:
    """A range, and a count and a size of sequences that fit into it."""
    frames = draw(RANGES)
    count = draw(st.integers(1, len(frames)))
    return frames, count, draw(st.integers(1, len(frames) // count))


@given(fitting(), st.sampled_from(["uniform", "random"]), st.integers(0, 10**6))
def test_sample_starts_gives_disjoint_sorted_ranges_inside(case, sampling, seed):
    frames, count, size = case
    chosen = sample_starts(frames, count, size, sampling=sampling, seed=seed)
    assert [len(one) for one in chosen] == [size] * count
    assert all(one.step == 1 for one in chosen)
    assert chosen[0].start >= frames.start and chosen[-1].stop <= frames.stop
    assert all(before.stop <= after.start for before, after in pairwise(chosen))


@given(fitting(), st.sampled_from(["uniform", "random"]), st.integers(0, 10**6))
def test_sample_starts_is_deterministic(case, sampling, seed):
    frames, count, size = case
    first = sample_starts(frames, count, size, sampling=sampling, seed=seed)
    assert sample_starts(frames, count, size, sampling=sampling, seed=seed) == first


@given(fitting())
def test_sample_starts_uniform_is_the_formula_of_the_contract(case):
    frames, count, size = case
    expected = [frames.start + math.floor(Fraction(i * len(frames), count)) for i in range(count)]
    assert [one.start for one in sample_starts(frames, count, size)] == expected


@given(RANGES, st.integers(1, 400), st.integers(1, 1000), st.sampled_from(["uniform", "random"]))
def test_sample_starts_refuses_exactly_what_does_not_fit_and_names_the_largest(frames, count, size, sampling):
    fits = count * size <= len(frames)
    if fits:
        sample_starts(frames, count, size, sampling=sampling)
        return
    with pytest.raises(SamplingError) as caught:
        sample_starts(frames, count, size, sampling=sampling)
    if count > len(frames):
        assert f"at most {len(frames)}" in str(caught.value)
        return
    largest = len(frames) // count
    assert f"--num-frames={largest} " in str(caught.value)
    sample_starts(frames, count, largest, sampling=sampling)
    with pytest.raises(SamplingError):
        sample_starts(frames, count, largest + 1, sampling=sampling)


def test_sample_starts_of_one_sequence_defaults_to_the_whole_range():
    assert sample_starts(range(5, 42), 1, None) == [range(5, 42)]
    assert sample_starts(range(5, 42), 1, None, sampling="random", seed=3) == [range(5, 42)]


def test_sample_starts_of_several_needs_a_number_of_frames_and_says_how_many_fit():
    with pytest.raises(SamplingError, match=r"--num-frames.*at most 33"):
        sample_starts(range(100), 3, None)


@pytest.mark.parametrize(("count", "size"), [(0, 1), (-1, 1), (1, 0), (1, -5)])
def test_sample_starts_refuses_counts_below_one(count, size):
    with pytest.raises(SamplingError, match="at least 1"):
        sample_starts(range(100), count, size)


def test_sample_starts_of_an_empty_range_is_refused():
    with pytest.raises(SamplingError):
        sample_starts(range(3, 3), 1, None)


def test_sample_starts_random_depends_on_the_seed():
    starts = {sample_starts(range(1000), 1, 10, sampling="random", seed=seed)[0].start for seed in range(50)}
    assert len(starts) > 25


def test_sample_starts_random_makes_every_placement_equally_likely():
    total, count, size, trials = 8, 2, 2, 6000
    placements = [
        (i, j) for i, j in combinations(range(total - size + 1), 2) if i + size <= j
    ]  # By enumeration: all pairs of starts that do not overlap.
    seen = Counter(
        tuple(one.start for one in sample_starts(range(total), count, size, sampling="random", seed=seed))
        for seed in range(trials)
    )
    assert set(seen) == set(placements)
    expected = trials / len(placements)
    chi_square = sum((seen[placement] - expected) ** 2 / expected for placement in placements)
    # Laurent and Massart (2000), lemma 1: P[X >= d + 2 sqrt(d x) + 2 x] <= exp(-x) for chi-square with d degrees of
    # freedom. With x = 14 a fair generator fails one set of seeds in a million; these seeds are fixed.
    degrees, x = len(placements) - 1, 14.0
    assert chi_square < degrees + 2 * math.sqrt(degrees * x) + 2 * x


# Stretched time.

RATIOS = st.builds(Fraction, st.integers(1, 60), st.integers(1, 60))


@given(st.integers(-2000, 2000), st.integers(0, 500), RATIOS)
def test_stretched_range_is_every_frame_whose_time_is_authored(start, length, ratio):
    end = start + length
    frames = stretched_range(start, end, float(ratio))
    # What the scene shows at t is shown at m * t, so frame f shows t = f / m, exactly.
    assert all(start <= Fraction(frame) / ratio <= end for frame in frames)
    assert not start <= Fraction(frames.start - 1) / ratio <= end
    assert not start <= Fraction(frames.stop) / ratio <= end
    assert frames.step == 1


@pytest.mark.parametrize(
    ("start", "end", "multiplier", "expected"),
    [
        (1, 100, 1.0, range(1, 101)),
        (1, 100, 2.0, range(2, 201)),
        (0, 100, 2.0, range(201)),
        (1, 100, 0.5, range(1, 51)),
        (1, 100, 1.5, range(2, 151)),
        (1, 3, 1 / 3, range(1, 2)),
        (1, 2, 1 / 3, range(1, 1)),
        (-10, 10, 1.5, range(-15, 16)),
        (7, 7, 1.0, range(7, 8)),
    ],
)
def test_stretched_range_by_hand(start, end, multiplier, expected):
    frames = stretched_range(start, end, multiplier)
    assert list(frames) == list(expected)


def test_stretched_range_of_a_multiplier_without_ratio_is_refused():
    with pytest.raises(ConfigError):
        stretched_range(1, 10, -1.0)


def info(fps: float) -> SceneInfo:
    return SceneInfo("5.0.1", "0" * 64, 1, 100, fps, "Camera", "cpu", {})


@pytest.mark.parametrize(
    ("fps", "multiplier", "expected"),
    [
        (24.0, 1.0, 24.0),
        (24.0, 2.0, 48.0),
        (24.0, 0.25, 6.0),
        (25.0, 1.5, 37.5),
        (30 / 1.001, 2.0, 60 / 1.001),
        (24, 1 / 3, 8),
    ],
)
def test_fps_of_the_stretched_timeline(fps, multiplier, expected):
    assert fps_of(info(fps), multiplier) == pytest.approx(expected, rel=1e-9)


def test_fps_of_a_whole_rate_is_whole():
    assert fps_of(info(30.0), 0.1) == 3.0


# Names.


@pytest.mark.parametrize(
    ("multiplier", "frames", "expected"),
    [
        (1.0, range(1, 101), "001-00001-00101"),
        (2.0, range(1, 101), "002-00001-00101"),
        (1.5, range(2, 151), "001.5-00002-00151"),
        (0.25, range(10), "000.25-00000-00010"),
        (1 / 3, range(1, 2), "000.333333333-00001-00002"),
        (100.0, range(123456, 123457), "100-123456-123457"),
    ],
)
def test_sequence_id_is_multiplier_first_and_one_past_the_last(multiplier, frames, expected):
    assert sequence_id(multiplier, frames) == expected


@settings(max_examples=300)
@given(st.lists(st.tuples(RATIOS, st.integers(0, 99999), st.integers(1, 999)), min_size=2, max_size=2, unique=True))
def test_sequence_id_differs_when_multiplier_or_frames_do(cases):
    first, second = (sequence_id(float(ratio), range(start, start + size)) for ratio, start, size in cases)
    assert first != second


# Disk.


def test_bytes_per_frame_grows_with_pixels_and_with_each_kind():
    small = bytes_per_frame(RenderConfig(width=100, height=100))
    assert bytes_per_frame(RenderConfig(width=1000, height=1000)) > 10 * small
    for kind in ("depths", "normals", "flows", "segmentations"):
        assert bytes_per_frame(RenderConfig(width=100, height=100, **{kind: True})) > small


def test_find_scenes_with_a_superscript(tmp_path):
    (tmp_path / "room1².blend").touch()
    (tmp_path / "1².blend").touch()
    assert len(find_scenes(tmp_path)) == 2


def test_find_scenes_order_does_not_depend_on_the_file_system(tmp_path, monkeypatch):
    for name in ("a01.blend", "a1.blend", "A1.blend"):
        (tmp_path / name).touch()
    first = [scene.name for scene in find_scenes(tmp_path)]
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: reversed(list(glob(self, pattern))))
    assert [scene.name for scene in find_scenes(tmp_path)] == first
