"""Datasets as PyTorch takes them: `DataLoader(TorchDataset("datasets/"), batch_size=8, collate_fn=collate)`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.dataset.index import PICTURES
from visionsim.dataset.reader import Dataset, Sample
from visionsim.errors import DataError, ShapeError
from visionsim.optional import require
from visionsim.parallel import num_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TorchDataset", "collate"]

torch = require("torch", extra="torch")


class TorchDataset(torch.utils.data.Dataset):  # type: ignore[misc, name-defined]
    """A map-style `torch.utils.data.Dataset`, whose items are dictionaries of tensors.

    `picture` (C, H, W) float32: 8 and 16 bits are 0 to 1, display-encoded; OpenEXR's values are as they are, linear.
    `depth` (1, H, W) float32, scene units, background +inf. `normals` (3, H, W) float32, camera frame, background 0.
    `instance_ids` (H, W) int64, background 0. `forward_flow`, `backward_flow` (2, H, W) float32, pixels (right, down),
    background 0. `occlusions` (H, W) uint8, bits. `c2w` (4, 4) float32, scene units, and, if all cameras are pinholes,
    `K` (3, 3) float32, pixels.
    `index` and `frame` () int64, `time` () float64, seconds; `sequence`, its name, is text.

    Args:
        dataset: a dataset or a part of one, or what `Dataset.from_path` opens.
        kinds: kinds of data to read (frames, depths, normals, segmentations, flows, occlusions), by default all that
            every sequence has. Without any, items are poses and cameras.
        transform: called with each dictionary in the process that reads it; what it returns is the item.
    Raises:
        DataError: a sequence does not have these kinds of data.
    """

    def __init__(
        self,
        dataset: Dataset | str | Path,
        kinds: Iterable[str] | None = None,
        transform: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        self.dataset = dataset if isinstance(dataset, Dataset) else Dataset.from_path(dataset)
        """What is read; its samples have what items do not have, such as cameras and labels."""
        self.kinds = self.dataset.kinds if kinds is None else tuple(kinds)
        """Kinds of data that are read."""
        self.transform = transform
        self.dataset.iterate(self.kinds)  # Says what is missing; reads nothing.
        self.pinholes = pinholes(self.dataset)
        """Whether items have `K`."""

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        item = self._read(index)
        return item if self.transform is None else self.transform(item)

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The items of a batch; a process that is not one of a DataLoader's workers reads them in threads."""
        if torch.utils.data.get_worker_info() is not None:
            return [self[index] for index in indices]
        with ThreadPoolExecutor(num_cores(), thread_name_prefix="read") as pool:
            items = list(pool.map(self._read, indices))
        # In order, for the sake of random numbers.
        return items if self.transform is None else list(map(self.transform, items))

    def _read(self, index: int) -> dict[str, Any]:
        sample = self.dataset[index]
        item = {**tensors(sample, self.kinds), "c2w": torch.from_numpy(sample.c2w.astype(np.float32))}
        if self.pinholes:
            item["K"] = torch.from_numpy(sample.K.astype(np.float32))
        item["index"] = torch.tensor(sample.index)
        item["frame"] = torch.tensor(sample.frame)
        item["time"] = torch.tensor(sample.time, dtype=torch.float64)
        item["sequence"] = sample.sequence
        return item


def pinholes(dataset: Dataset) -> bool:
    try:
        _ = dataset.intrinsics
    except DataError:
        return False
    return True


def tensors(sample: Sample, kinds: Sequence[str]) -> dict[str, Any]:
    """The pixels of a sample, channels first."""
    found = {}
    if PICTURES in kinds:
        picture = sample.picture
        scale = 1 if picture.dtype.kind == "f" else np.iinfo(picture.dtype).max
        found["picture"] = channels_first(picture.astype(np.float32) / np.float32(scale))
    if "depths" in kinds:
        found["depth"] = torch.from_numpy(sample.depth)[None]
    if "normals" in kinds:
        found["normals"] = channels_first(sample.normals)
    if "segmentations" in kinds:
        found["instance_ids"] = torch.from_numpy(sample.instance_ids.astype(np.int64))
    if "flows" in kinds:
        found["forward_flow"] = channels_first(sample.forward_flow)
        found["backward_flow"] = channels_first(sample.backward_flow)
    if "occlusions" in kinds:
        found["occlusions"] = torch.from_numpy(sample.occlusions)
    return found


def channels_first(pixels: NDArray[Any]) -> Any:
    """(H, W, C) -> (C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)))


def collate(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch of items: tensors are stacked along a new first axis, `sequence` is a list.

    Args:
        items: of a TorchDataset, of one size; what `transform` adds may be what PyTorch's default_collate takes.
    Raises:
        ShapeError: items differ in size, or in what they have.
    """
    first = items[0]
    for item in items:
        if item.keys() != first.keys():
            odd = ", ".join(sorted(item.keys() ^ first.keys()))
            raise ShapeError(f"Items of a batch must have the same entries; only some have {odd}")
        for name, value in item.items():
            if torch.is_tensor(value) and value.shape != first[name].shape:
                sizes = " and ".join(str(tuple(each[name].shape)) for each in (first, item))
                raise ShapeError(
                    f"Items of one batch differ in size, {name} is {sizes} in {first.get('sequence')} and "
                    f"{item.get('sequence')}: crop or resize them in `transform`, or make batches of one sequence, "
                    "or of one item"
                )
    batch: dict[str, Any] = torch.utils.data.default_collate(items)
    return batch
