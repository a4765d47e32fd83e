"""Runs in nerfstudio's own environment: reads datasets with its parsers, one request a line, as `conftest.Nerfstudio`.

What it finds is turned back into the coordinates of the files: a parser centres, turns and scales the poses.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # nerfstudio talks on stdout.

import numpy as np  # noqa: E402
import torch  # noqa: E402
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig  # noqa: E402
from nerfstudio.data.dataparsers.instant_ngp_dataparser import InstantNGPDataParserConfig  # noqa: E402
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig  # noqa: E402
from nerfstudio.data.datasets.base_dataset import InputDataset  # noqa: E402
from nerfstudio.data.datasets.depth_dataset import DepthDataset  # noqa: E402

PARSERS = {
    "nerfstudio": NerfstudioDataParserConfig,
    "blender": BlenderDataParserConfig,
    "instant-ngp": InstantNGPDataParserConfig,
}


def read(parser: str, path: str, split: str, options: dict) -> dict[str, np.ndarray]:
    """Names, c2w, K, rays and the factor from planar depth to length along them, pictures, depth, masks."""
    read_depth = options.pop("read_depth", True)
    found = PARSERS[parser](data=Path(path), **options).setup().get_dataparser_outputs(split)
    has_depth = read_depth and found.metadata.get("depth_filenames") is not None
    dataset = (DepthDataset if has_depth else InputDataset)(found)
    turned, scale = found.dataparser_transform.double(), float(found.dataparser_scale)
    back = torch.linalg.inv(torch.cat([turned, torch.tensor([[0.0, 0.0, 0.0, 1.0]], dtype=torch.float64)]))
    result: dict[str, list] = {}
    for index, name in enumerate(found.image_filenames):
        data = dataset[index]
        height, width = data["image"].shape[:2]
        if found.cameras.image_height[index] != height:  # Its blender parser does not say how large pictures are.
            found.cameras.height[index], found.cameras.width[index] = height, width
        rays = found.cameras.generate_rays(camera_indices=index, keep_shape=True)
        pose = torch.eye(4, dtype=torch.float64)
        pose[:3] = found.cameras.camera_to_worlds[index].double()
        pose[:3, 3] /= scale
        row = {
            "names": os.path.relpath(name, path if os.path.isdir(path) else os.path.dirname(path)),
            "c2w": back @ pose,
            "K": found.cameras.get_intrinsics_matrices()[index],
            "origins": (rays.origins.double() / scale) @ back[:3, :3].T + back[:3, 3],
            "directions": rays.directions.double() @ back[:3, :3].T,
            "stretch": rays.metadata["directions_norm"][..., 0],
            "pictures": data["image"],
        }
        if "depth_image" in data:
            row["depth"] = data["depth_image"][..., 0].double() / scale
        if "mask" in data:
            row["masks"] = data["mask"][..., 0]
        for key, value in row.items():
            result.setdefault(key, []).append(np.asarray(value))
    return {key: np.stack(values) for key, values in result.items()}


for line in sys.stdin:
    request = json.loads(line)
    out = request.pop("out")
    try:
        np.savez(out, **read(**request))
        print("done", file=answers, flush=True)
    except Exception:
        traceback.print_exc()
        print(traceback.format_exc().replace("\n", " | "), file=answers, flush=True)
