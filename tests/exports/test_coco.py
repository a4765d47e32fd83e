from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests import synthetic
from tests.exports.conftest import reader, store_pictures_in_one_array
from visionsim.cli import main
from visionsim.dataset.reader import Dataset
from visionsim.errors import ConfigError
from visionsim.exports.coco import encode_masks, export_coco
from visionsim.exports.frames import by_split
from visionsim.io.images import read_pixels


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Two scenes; the second one has a class of its own, and in a part of its own."""
    root = tmp_path_factory.mktemp("coco")
    for scene in ("balls", "toys"):
        synthetic.write_dataset(root / "renders" / scene / "001-00005-00008", num_frames=3)
    path = root / "renders" / "toys" / "001-00005-00008" / "transforms.json"
    document = json.loads(path.read_text())
    document["labels"]["4"]["class"] = "apple"
    path.write_text(json.dumps(document))
    splits = {"train": ["renders/balls/001-00005-00008"], "test": ["renders/toys/001-00005-00008"], "val": []}
    (root / "splits.json").write_text(json.dumps({"splits": splits}))
    return root


@pytest.fixture(scope="module")
def dataset(root) -> Dataset:
    return Dataset.from_path(root)


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' arrays, NumPy 2.
def test_its_own_reader_gives_our_ids_boxes_and_classes(dataset, tmp_path) -> None:
    coco, masks = reader("pycocotools.coco"), reader("pycocotools.mask")
    report = export_coco(dataset, tmp_path)
    assert (report.exit_code, report.frames, report.notes) == (0, 6, [])
    found = coco.COCO(str(tmp_path / "annotations.json"))
    assert [category["name"] for category in found.loadCats(found.getCatIds())] == ["apple", "ball", "floor", "wall"]
    assert len(found.getImgIds()) == 6
    for sample in dataset:
        (image,) = [
            i for i in found.dataset["images"] if (i["sequence"], i["frame"]) == (sample.sequence, sample.frame)
        ]
        assert np.array_equal(read_pixels(tmp_path / "images" / image["file_name"]), sample.picture)
        ids = np.zeros((image["height"], image["width"]), np.uint32)
        for annotation in found.loadAnns(found.getAnnIds(imgIds=image["id"])):
            mask = found.annToMask(annotation).astype(bool)
            assert not ids[mask].any()
            ids[mask] = annotation["object_id"]
            label = sample.labels[annotation["object_id"]]
            (category,) = found.loadCats(annotation["category_id"])
            assert (category["name"], annotation["object_path"]) == (label.class_name, label.path)
            encoded = found.annToRLE(annotation)
            assert annotation["bbox"] == list(masks.toBbox(encoded)) and annotation["area"] == masks.area(encoded)
            y, x = np.nonzero(sample.instance_ids == annotation["object_id"])
            assert annotation["bbox"] == [x.min(), y.min(), x.max() + 1 - x.min(), y.max() + 1 - y.min()]
            assert annotation["area"] == len(x) and annotation["iscrowd"] == 0
        assert np.array_equal(ids, sample.instance_ids)


def test_its_own_evaluation_finds_truth_perfect(dataset, tmp_path) -> None:
    coco, evaluation = reader("pycocotools.coco"), reader("pycocotools.cocoeval")
    export_coco(dataset, tmp_path)
    truth = coco.COCO(str(tmp_path / "annotations.json"))
    answers = [{**annotation, "score": 0.9} for annotation in truth.dataset["annotations"]]
    for kind in ("segm", "bbox"):
        result = evaluation.COCOeval(truth, truth.loadRes(answers), kind)
        result.evaluate()
        result.accumulate()
        result.summarize()
        assert result.stats[0] == pytest.approx(1.0)


def decoded(counts: str, height: int, width: int) -> np.ndarray:
    """Slow and obvious: characters to run lengths to pixels, down the columns."""
    runs: list[int] = []
    position = 0
    while position < len(counts):
        value = shift = 0
        while True:
            character = ord(counts[position]) - 48
            position += 1
            value |= (character & 31) << shift
            shift += 5
            if not character & 32:
                break
        if character & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    pixels = np.repeat(np.arange(len(runs)) % 2, runs)
    return pixels.reshape(width, height).T.astype(bool)


def images() -> list[np.ndarray]:
    """Ids in every arrangement: noise, blocks, nothing, one pixel, all of one, a column that goes on in the next."""
    rng = np.random.default_rng(3)
    noise = [rng.integers(0, high, (rng.integers(1, 30), rng.integers(1, 30))) for high in (2, 2, 3, 5, 40)]
    blocks = np.kron(rng.integers(0, 300, (12, 15)), np.ones((30, 25)))
    striped = np.zeros((7, 5))
    striped[3:, 1], striped[:2, 2] = 9, 9
    return [*noise, blocks, striped, np.zeros((4, 3)), np.ones((1, 1)), np.full((900, 1500), 4_000_000_000)]


@pytest.mark.parametrize("ids", [image.astype(np.uint32) for image in images()], ids=lambda image: str(image.shape))
def test_masks_are_what_is_seen(ids) -> None:
    masks = encode_masks(ids)
    assert [mask.object_id for mask in masks] == [number for number in np.unique(ids) if number]
    for mask in masks:
        wanted = ids == mask.object_id
        assert np.array_equal(decoded(mask.counts, *ids.shape), wanted)
        y, x = np.nonzero(wanted)
        assert mask.area == len(x)
        assert mask.box == (x.min(), y.min(), x.max() + 1 - x.min(), y.max() + 1 - y.min())


@pytest.mark.parametrize("ids", [image.astype(np.uint32) for image in images()], ids=lambda image: str(image.shape))
def test_masks_are_character_for_character_those_of_its_own_writer(ids) -> None:
    masks = reader("pycocotools.mask")
    for mask in encode_masks(ids):
        wanted = masks.encode(np.asfortranarray(ids == mask.object_id).view(np.uint8))
        assert mask.counts == wanted["counts"].decode()


def test_parts_share_classes_and_no_id(root, tmp_path, capsys) -> None:
    assert main(["export", "coco", str(root), str(tmp_path / "all"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 6
    train, test = (read(tmp_path / "all" / part / "annotations.json") for part in ("train", "test"))
    assert not (tmp_path / "all" / "val").exists()
    assert train["categories"] == test["categories"] and len(train["categories"]) == 4
    for key in ("images", "annotations"):
        numbers = [entry["id"] for document in (train, test) for entry in document[key]]
        assert numbers == list(range(1, len(numbers) + 1))
    assert {image["sequence"] for image in test["images"]} == {"toys/001-00005-00008"}
    for image in test["images"]:
        assert (tmp_path / "all" / "test" / "images" / image["file_name"]).is_file()
    # One part alone has the same classes, too, though it has no apple.
    assert main(["export", "coco", str(root), str(tmp_path / "one"), "--split", "train"]) == 0
    alone = read(tmp_path / "one" / "train" / "annotations.json")
    assert alone == train


def test_what_is_in_no_part_is_left_out_and_said(root, tmp_path, caplog) -> None:
    """So is a part of which no sequence is there, or finished."""
    splits = {"train": ["renders/balls/001-00005-00008"], "val": ["renders/gone/001-00001-00002"]}
    for scene in ("balls", "toys"):
        shutil.copytree(root / "renders" / scene, tmp_path / "renders" / scene)
    (tmp_path / "splits.json").write_text(json.dumps({"splits": splits}))
    whole, parts = by_split(tmp_path)
    assert len(whole) == 6 and {name: len(part) for name, part in parts.items()} == {"train": 3}
    assert "in no part of splits.json" in caplog.text and str(Path("renders", "toys")) in caplog.text
    # A sequence of it is no dataset that is split.
    whole, parts = by_split(tmp_path / "renders" / "toys" / "001-00005-00008" / "transforms.json")
    assert list(parts) == [""] and len(parts[""]) == 3


def test_what_is_small_or_of_other_classes_is_left_out(dataset, tmp_path) -> None:
    export_coco(dataset, tmp_path / "all")
    export_coco(dataset, tmp_path / "some", classes=["wall", "apple"], min_area=300)
    every, some = (read(tmp_path / name / "annotations.json") for name in ("all", "some"))
    assert [(category["id"], category["name"]) for category in some["categories"]] == [(1, "apple"), (4, "wall")]
    wanted = [a for a in every["annotations"] if a["category_id"] in (1, 4) and a["area"] >= 300]
    assert len(wanted) < len(every["annotations"])
    assert [{**a, "id": 0} for a in some["annotations"]] == [{**a, "id": 0} for a in wanted]
    assert some["images"] == every["images"]


def test_unknown_class_is_refused_before_anything_is_written(dataset, root, tmp_path, capsys) -> None:
    with pytest.raises(ConfigError, match="No object is of class 'tree'; there are apple, ball, floor, wall"):
        export_coco(dataset, tmp_path / "out", classes=["ball", "tree"])
    assert main(["export", "coco", str(root), str(tmp_path / "out"), "--classes", "ball, tree"]) == 2
    assert "class 'tree'" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_pictures_may_be_links(dataset, tmp_path) -> None:
    for _ in range(2):
        export_coco(dataset, tmp_path, pictures="link")
        for sample in dataset:
            path = tmp_path / "images" / sample.sequence / f"frame_{sample.frame:06d}.png"
            assert path.is_symlink() and path.resolve() == sample.path("frames").resolve()
    export_coco(dataset, tmp_path)  # Through the links nothing is written.
    assert not path.is_symlink() and path.read_bytes() == sample.path("frames").read_bytes()
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("pictures", ["copy", "link"])
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_pictures_of_one_array_become_files(channels, pictures, tmp_path) -> None:
    """Floats OpenEXR files, which is said; all others PNG."""
    folder = synthetic.write_dataset(tmp_path / "balls", num_frames=2, kinds=("segmentations",))
    noise = np.random.default_rng(0).random((2, synthetic.HEIGHT, synthetic.WIDTH, channels or 1), np.float32)
    store_pictures_in_one_array(folder, noise if channels else None)
    dataset = Dataset.from_path(folder)
    report = export_coco(dataset, tmp_path / "out", pictures=pictures)
    assert (report.exit_code, report.frames) == (0, 2)
    assert [note[:21] for note in report.notes] == (["Pictures are OpenEXR,"] if channels else [])
    for sample in dataset:
        path = tmp_path / "out" / "images" / "balls" / f"frame_{sample.frame:06d}{'.exr' if channels else '.png'}"
        assert np.array_equal(read_pixels(path), sample.picture) and sample.picture.any()


@pytest.mark.parametrize("kind", ["segmentations", "frames"])
def test_damaged_frame_is_named_and_the_rest_done(kind, tmp_path) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path / "balls", num_frames=4))
    path = dataset[1].path(kind)
    path.write_bytes(path.read_bytes()[:-30])
    report = export_coco(dataset, tmp_path / "out")
    assert (report.exit_code, report.frames) == (1, 3)
    (damaged,) = report.damaged
    assert (damaged.sequence, damaged.frame) == ("balls", 6) and path.name in damaged.message
    images = read(tmp_path / "out" / "annotations.json")["images"]
    assert [(image["id"], image["frame"]) for image in images] == [(1, 5), (3, 7), (4, 8)]


def test_id_without_a_label_is_damage(tmp_path) -> None:
    folder = synthetic.write_dataset(tmp_path / "balls", num_frames=2)
    path = folder / "transforms.json"
    document = json.loads(path.read_text())
    del document["labels"]["4"]
    path.write_text(json.dumps(document))
    report = export_coco(Dataset.from_path(folder), tmp_path / "out")
    assert report.exit_code == 1 and "labels have no object 4" in report.damaged[0].message


def test_without_segmentations_there_is_nothing_to_export(tmp_path) -> None:
    dataset = Dataset.from_path(synthetic.write_dataset(tmp_path / "balls", kinds=("depths",), num_frames=1))
    with pytest.raises(ConfigError, match="no segmentations to export, only frames, depths"):
        export_coco(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sequences_of_folders_that_are_called_alike_are_kept_apart(tmp_path) -> None:
    for scene in "ab":
        synthetic.write_dataset(tmp_path / scene / "walk", num_frames=1)
    export_coco(Dataset.from_path(tmp_path), tmp_path / "out")
    assert {
        path.parent.relative_to(tmp_path / "out" / "images").as_posix() for path in tmp_path.glob("out/**/*.png")
    } == {
        "a/walk",
        "b/walk",
    }
