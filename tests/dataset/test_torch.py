"""The PyTorch adapter, with PyTorch itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import synthetic
from tests.helpers import reader
from visionsim.dataset.reader import Dataset
from visionsim.errors import ConfigError, DataError, ShapeError
from visionsim.io.images import write_png

H, W = synthetic.HEIGHT, synthetic.WIDTH


@pytest.fixture(scope="module")
def torch():
    return reader("torch")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("torch")
    for scene, frames in (("a", 3), ("b", 4)):
        synthetic.write_dataset(root / "renders" / scene / "001-00005-00012", num_frames=frames)
    return root


@pytest.fixture
def adapter(torch, root):
    from visionsim.dataset.torch import TorchDataset

    return TorchDataset(root)


def first_channel(item):
    """A transform that a spawned process can be given."""
    return {"red": item["picture"][:1], "index": item["index"]}


def test_items_are_what_samples_are(torch, adapter, root) -> None:
    dataset = Dataset.from_path(root)
    assert len(adapter) == len(dataset) == 7 and isinstance(adapter, torch.utils.data.Dataset)
    for index in (0, 5, -1):
        item, sample = adapter[index], dataset[index]
        expected = {
            "picture": (sample.picture.transpose(2, 0, 1) / np.float32(255), torch.float32),
            "depth": (sample.depth[None], torch.float32),
            "normals": (sample.normals.transpose(2, 0, 1), torch.float32),
            "instance_ids": (sample.instance_ids, torch.int64),
            "forward_flow": (sample.forward_flow.transpose(2, 0, 1), torch.float32),
            "backward_flow": (sample.backward_flow.transpose(2, 0, 1), torch.float32),
            "occlusions": (sample.occlusions, torch.uint8),
            "c2w": (sample.c2w.astype(np.float32), torch.float32),
            "K": (sample.K.astype(np.float32), torch.float32),
            "index": (sample.index, torch.int64),
            "frame": (sample.frame, torch.int64),
            "time": (sample.time, torch.float64),
        }
        assert list(item) == [*expected, "sequence"] and item["sequence"] == sample.sequence
        for name, (values, dtype) in expected.items():
            assert item[name].dtype == dtype and item[name].is_contiguous()
            assert np.array_equal(item[name].numpy(), values)
        assert item["picture"].shape == (3, H, W) and 0.1 < item["picture"].mean() < 0.9
        assert item["depth"].isinf().any()


@pytest.mark.parametrize(("num_workers", "start"), [(0, None), (2, "fork")])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_batches_of_a_loader(torch, adapter, num_workers, start) -> None:
    from visionsim.dataset.torch import collate

    loader = torch.utils.data.DataLoader(
        adapter, batch_size=3, collate_fn=collate, num_workers=num_workers, multiprocessing_context=start
    )
    batches = list(loader)
    assert [len(batch["index"]) for batch in batches] == [3, 3, 1]
    assert torch.cat([batch["index"] for batch in batches]).tolist() == list(range(7))
    assert batches[1]["picture"].shape == (3, 3, H, W) and batches[1]["depth"].shape == (3, 1, H, W)
    assert batches[1]["instance_ids"].shape == (3, H, W) and batches[2]["K"].shape == (1, 3, 3)
    assert batches[0]["time"].dtype == torch.float64
    assert batches[1]["sequence"] == ["b/001-00005-00012"] * 3
    for name, value in adapter[4].items():
        found = batches[1][name][1]
        assert torch.equal(found, value) if torch.is_tensor(value) else found == value


def test_loader_that_shuffles_and_transforms_in_spawned_processes(torch, adapter, root) -> None:
    from visionsim.dataset.torch import TorchDataset, collate

    part = TorchDataset(Dataset.from_path(root)[1:5], kinds=("frames",), transform=first_channel)
    generator = torch.Generator().manual_seed(3)
    loader = torch.utils.data.DataLoader(
        part, batch_size=2, shuffle=True, generator=generator, collate_fn=collate, num_workers=2,
        multiprocessing_context="spawn",
    )  # fmt: skip
    found = {int(index): red for batch in loader for index, red in zip(batch["index"], batch["red"], strict=True)}
    assert sorted(found) == [0, 1, 2, 3] and list(found) != [0, 1, 2, 3]
    for index, red in found.items():
        assert torch.equal(red, adapter[index + 1]["picture"][:1])


def test_only_the_kinds_asked_for_are_read(torch, tmp_path) -> None:
    from visionsim.dataset.torch import TorchDataset

    folder = synthetic.write_dataset(tmp_path, num_frames=2)
    for path in (folder / "normals").iterdir():
        path.unlink()
    always = ["c2w", "K", "index", "frame", "time", "sequence"]
    assert list(TorchDataset(folder, ("depths",))[1]) == ["depth", *always]
    assert list(TorchDataset(folder, ())[1]) == always
    with pytest.raises(DataError, match=r"The file is missing: .*normal_000006\.exr"):
        TorchDataset(folder)[1]
    with pytest.raises(DataError, match="no kind of data called 'depth'"):
        TorchDataset(folder, ("depth",))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_damage_is_named_by_the_loader(torch, tmp_path) -> None:
    from visionsim.dataset.torch import TorchDataset, collate

    folder = synthetic.write_dataset(tmp_path, num_frames=2)
    (folder / "depths" / "depth_000006.exr").write_bytes(b"")
    for num_workers in (0, 1):
        loader = torch.utils.data.DataLoader(
            TorchDataset(folder), batch_size=2, collate_fn=collate, num_workers=num_workers,
            multiprocessing_context="fork" if num_workers else None,
        )  # fmt: skip
        with pytest.raises(DataError, match=r"depth_000006\.exr"):
            list(loader)


def test_pictures_of_16_bits_and_with_alpha(torch, tmp_path) -> None:
    from visionsim.dataset.torch import TorchDataset

    folder = synthetic.write_dataset(tmp_path, num_frames=1)
    path = folder / "frames" / "frame_000005.png"
    pixels = np.random.default_rng(1).integers(0, 2**16, (H, W, 4), np.uint16)
    pixels[0, 0] = 65535
    write_png(path, pixels)
    picture = TorchDataset(folder)[0]["picture"]
    assert picture.shape == (4, H, W) and picture.dtype == torch.float32
    assert picture[:, 0, 0].tolist() == [1, 1, 1, 1]
    assert np.array_equal((picture.double() * 65535).round().numpy().astype(np.uint16).transpose(1, 2, 0), pixels)


def test_cameras_that_are_no_pinholes_have_no_k(torch, tmp_path) -> None:
    from visionsim.dataset.torch import TorchDataset

    dataset = TorchDataset(synthetic.write_dataset(tmp_path, camera="cut to a panorama"), ())
    assert all("K" not in dataset[index] for index in range(7))
    assert dataset.dataset[6].camera.model == "OPENCV_FISHEYE"
    assert "K" in TorchDataset(dataset.dataset[:3], ())[0]


def test_items_that_cannot_be_stacked(torch, adapter) -> None:
    from visionsim.dataset.torch import collate

    small = adapter[3]
    small["depth"] = small["depth"][:, :50]
    with pytest.raises(
        ShapeError,
        match=r"depth is \(1, 80, 120\) and \(1, 50, 120\) in a/001-00005-00012 and b/001.*: crop or resize",
    ):
        collate([adapter[0], adapter[1], small])
    with pytest.raises(ShapeError, match="only some have K"):
        collate([adapter[0], {name: value for name, value in adapter[1].items() if name != "K"}])


def test_without_torch_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "visionsim.dataset.torch", raising=False)
    with pytest.raises(ConfigError, match=r"torch is needed for this.*pip install 'visionsim\[torch\]'"):
        import visionsim.dataset.torch  # noqa: F401


def test_reader_alone_does_not_load_torch() -> None:

    code = "import sys, visionsim.dataset.reader, visionsim.dataset; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
