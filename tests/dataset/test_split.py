"""Parts that share no frame, and are as near to their shares as they can be."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests import frames, synthetic
from visionsim.cli import main
from visionsim.dataset.reader import Dataset
from visionsim.dataset.split import divide, split
from visionsim.errors import ConfigError, InputNotFound


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> dict:
    """transforms.json of a sequence of one frame; the files are not looked at."""
    folder = synthetic.write_dataset(tmp_path_factory.mktemp("split"), num_frames=1, kinds=())
    document: dict = json.loads((folder / "transforms.json").read_text())
    return document


def sequence(root: Path, model: dict, name: str, numbers: range, scene: str = "", multiplier: float = 1.0) -> None:
    """The documents of a sequence, without its files."""
    document = json.loads(json.dumps(model))
    (frame,) = document["frames"]
    settings = document["generator"]["settings"]
    settings.pop("scene_sha256")
    if scene:
        settings["scene_sha256"] = scene
    document["keyframe_multiplier"] = settings["keyframe_multiplier"] = multiplier
    document["frames"] = [{**frame, "frame": n, "file_path": f"frames/frame_{n:06d}.png"} for n in numbers]
    folder = root / "renders" / name
    folder.mkdir(parents=True)
    (folder / "transforms.json").write_text(json.dumps(document))


def ten(root: Path, model: dict) -> Path:
    for number in range(10):
        sequence(root, model, f"s{number}/x", range(1, 11), scene=str(number))
    return root


def test_parts_are_near_their_shares_and_are_read(tmp_path, model) -> None:
    root = ten(tmp_path, model)
    report = split(root)
    assert [(part.name, len(part.sequences), part.frames) for part in report.parts] == [
        ("train", 8, 80), ("val", 1, 10), ("test", 1, 10)
    ]  # fmt: skip
    parts = {name: Dataset.from_path(root, name) for name in ("train", "val", "test")}
    assert [len(part) for part in parts.values()] == [80, 10, 10]
    names = [name for part in parts.values() for name in part.sequences()]
    assert sorted(names) == [f"s{number}/x" for number in range(10)]
    with pytest.raises(InputNotFound, match="no split 'all', only train, val, test"):
        Dataset.from_path(root, "all")


def test_division_is_decided_by_the_seed_alone(tmp_path, model) -> None:
    root = ten(tmp_path, model)
    texts = []
    for seed in (0, 0, 1, 2, 3):
        split(root, seed=seed)
        texts.append((root / "splits.json").read_text())
    assert texts[0] == texts[1] and len(set(texts)) > 2
    document = json.loads(texts[0])
    assert (document["by"], document["seed"]) == ("sequence", 0)
    # Pinned: another machine, Python or numpy must not divide otherwise.
    assert (document["splits"]["val"], document["splits"]["test"]) == (["renders/s6/x"], ["renders/s8/x"])


def test_slow_motion_of_the_same_moments_stays_with_them(tmp_path, model) -> None:
    for scene in ("a", "b", "c"):
        for multiplier in (1.0, 2.0, 1.5):
            for first in (1, 33, 65):  # Authored frames, of 32.
                last = first + 31
                numbers = range(int(np.ceil(first * multiplier)), int(last * multiplier) + 1)
                name = f"{scene}/{multiplier}-{first}"
                sequence(tmp_path, model, name, numbers, scene, multiplier)
    for seed in range(5):
        report = split(tmp_path, val=0.2, test=0.2, seed=seed)
        assert report.groups == 9
        authored = {}
        for part in report.parts:
            assert part.sequences
            shown = set()
            for index in Dataset.from_path(tmp_path, part.name)._sources:
                multiplier = Fraction(index.head["keyframe_multiplier"])
                scene = index.head["generator"]["settings"]["scene_sha256"]
                times = [Fraction(int(frame)) / multiplier for frame in index.frames]
                shown |= {(scene, int(time)) for time in times}
            authored[part.name] = shown
        for one, other in itertools.combinations(authored.values(), 2):
            assert not one & other


def test_chains_of_overlaps_stay_together(tmp_path, model) -> None:
    for number, first in enumerate((1, 9, 17, 25)):
        sequence(tmp_path, model, f"a/{number}", range(first, first + 9), "a")
    sequence(tmp_path, model, "b/0", range(1, 9), "b")
    report = split(tmp_path, val=0.2, test=0)
    assert report.groups == 2
    assert report.parts[1].sequences == ("renders/b/0",)


def test_by_scene_no_scene_is_in_two_parts(tmp_path, model) -> None:
    for scene in "abcd":
        for number in range(3):
            # One of them was rendered from another version of the .blend.
            sequence(
                tmp_path,
                model,
                f"{scene}/{number}",
                range(1 + 10 * number, 9 + 10 * number),
                scene + "2" * (number == 2),
            )
    report = split(tmp_path, by="scene", val=0.25, test=0.25)
    assert [part.frames for part in report.parts] == [48, 24, 24] and report.groups == 4
    scenes = [{name.split("/")[1] for name in part.sequences} for part in report.parts]
    assert sum(map(len, scenes)) == 4
    assert split(tmp_path, val=0.25, test=0.25).groups == 12


def test_what_no_blender_made_is_divided_by_sequence(tmp_path) -> None:
    for number in range(3):
        frames.write(tmp_path / f"mine-{number}", range(3, 5))
    assert split(tmp_path).groups == split(tmp_path, by="scene").groups == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "train, val, test are 3 parts, but there are only 2 groups of sequences that show the same moments of a "
             "scene, which stay together: use --val=0 or --test=0$"),
        ({"by": "scene"}, "only 1 group of sequences of the same scene, which stay together: there is nothing to "
                          "divide; --by sequence may find more"),
        ({"val": 0.6, "test": 0.5}, "--val=0.6 --test=0.5"),
        ({"val": -0.1}, "--val=-0.1"),
        ({"val": 1.0, "test": 0.0}, "something be left for training"),
    ],
)  # fmt: skip
def test_impossible_requests_say_what_is_possible(options, message, tmp_path, model) -> None:
    sequence(tmp_path, model, "a/0", range(1, 9), "a")
    sequence(tmp_path, model, "a/1", range(9, 17), "a")
    sequence(tmp_path, model, "a/2", range(18, 30), "a", 2.0)
    with pytest.raises(ConfigError, match=message):
        split(tmp_path, **options)
    assert not (tmp_path / "splits.json").exists()
    assert [len(part.sequences) for part in split(tmp_path, test=0).parts] in ([2, 1], [1, 2])


def test_no_part_is_empty_however_small_its_share(tmp_path, model) -> None:
    for number, count in enumerate((1000, 900, 2)):
        sequence(tmp_path, model, f"{number}/x", range(1, 1 + count), str(number))
    assert [part.frames for part in split(tmp_path, val=0.01, test=0.3).parts] == [1000, 2, 900]


def best(sizes: list[int], shares: list[float]) -> float:
    return min(
        miss(parts, sizes, shares)
        for parts in itertools.product(range(len(shares)), repeat=len(sizes))
        if len(set(parts)) == len(shares)
    )


def miss(parts, sizes, shares) -> float:
    got = np.bincount(parts, sizes, len(shares))
    return float(np.abs(got - np.array(shares) * sum(sizes)).sum())


@pytest.mark.parametrize("count", [3, 5, 8, 9])
@pytest.mark.parametrize("shares", [[0.8, 0.1, 0.1], [0.5, 0.5], [0.34, 0.33, 0.33]])
def test_parts_come_as_near_as_groups_allow(count, shares) -> None:
    """Compared with trying everything."""
    rng = np.random.default_rng(count)
    for _ in range(3):
        sizes = rng.integers(1, 400, count).tolist()
        found = miss(divide(sizes, shares), sizes, shares)
        assert found == pytest.approx(best(sizes, shares))


def test_many_groups_are_divided_quickly_and_well() -> None:
    for count in (20, 300, 2000):
        sizes = np.random.default_rng(0).integers(1, 400, count).tolist()
        parts = divide(sizes, [0.8, 0.1, 0.1])
        assert set(parts) == {0, 1, 2} and miss(parts, sizes, [0.8, 0.1, 0.1]) < 0.001 * sum(sizes)
    assert set(divide([100] + 10 * [1], [0.8, 0.1, 0.1])) == {0, 1, 2}


def test_command_prints_the_table(tmp_path, model, capsys) -> None:
    root = ten(tmp_path, model)
    (root / "renders" / "s0" / "y" / "frames").mkdir(parents=True)
    assert main(["dataset", "split", str(root), "--val", "0.2"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["train", "7", "70", "70.0", "%", "70.0", "%"] in lines
    assert ["val", "2", "20", "20.0", "%", "20.0", "%"] in lines
    assert any("no transforms.json" in " ".join(line) for line in lines)
    assert main(["dataset", "split", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["groups"] == 10
