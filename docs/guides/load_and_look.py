"""Load a sequence and look at it: `python load_and_look.py DATASET [PICTURE.png]`.

A notebook as a script: the cells, from `# %%` on, run one after the other in editors that know them, and all at once
from the shell. DATASET is a sequence of a perspective camera with depth, flow and ids, or a folder of several.
"""

# %% Open it. Only transforms.json is read; pixels come when they are asked for.
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from visionsim.dataset import Dataset

dataset = Dataset.from_path(sys.argv[1])
name, sequence = next(iter(dataset.sequences().items()))
print(f"{name}: {len(sequence)} frames, {sequence.times[-1] - sequence.times[0]:g} s")
print(f"the camera goes {sequence.arclength[-1]:.3f} scene units")

# %% Two frames, one after the other. Flow leads from one frame of the timeline to the next.
sample, after = sequence[0], sequence[1]
assert after.frame == sample.frame + 1, "rendered with --frame-step: flow does not lead to the next file"
height, width = sample.depth.shape
hit = np.isfinite(sample.depth)
print(f"frame {sample.frame}: {width} x {height} pixels, a surface in {hit.mean():.1%} of them")
near, far = np.quantile(sample.depth[hit], [0, 1])
print(f"planar depth: {near:.3f} to {far:.3f} scene units")

# %% From pixels to points of the world: K and depth give a point in the camera's frame, c2w takes it to the world.
x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)  # Pixel centres.
fx, fy, cx, cy = sample.K[[0, 1, 0, 1], [0, 1, 2, 2]]
planar_depth = np.where(hit, sample.depth, 0.0)
in_camera = np.stack([(x - cx) / fx, (cy - y) / fy, -np.ones_like(x)], axis=-1) * planar_depth[..., None]
points = in_camera @ sample.c2w[:3, :3].T + sample.c2w[:3, 3]  # (H, W, 3)
numbers, counts = np.unique(sample.instance_ids[hit], return_counts=True)
for number in numbers[np.argsort(-counts)][:5]:
    of_object = points[sample.instance_ids == number]
    low, high = of_object.min(axis=0), of_object.max(axis=0)
    box = ", ".join(f"{axis} {a:.3f} to {b:.3f}" for axis, a, b in zip("xyz", low, high, strict=True))
    print(f"{sample.labels[int(number)].name}: {len(of_object)} points, {box}")


# %% And back: what does not move is seen by the next camera where flow says.
def pixels_of(points: Any, K: Any, c2w: Any) -> Any:
    """(..., 2) pixel positions of (..., 3) world points."""
    seen = (points - c2w[:3, 3]) @ c2w[:3, :3]
    return K[[0, 1], 2] + K[[0, 1], [0, 1]] * [1, -1] * seen[..., :2] / -seen[..., 2:]


target = np.stack([x, y], axis=-1) + sample.forward_flow
static = [number for number, label in sample.labels.items() if label.motion == "static"]
rests = hit & np.isin(sample.instance_ids, static)
if rests.any():
    wrong = np.linalg.norm(pixels_of(points[rests], after.K, after.c2w) - target[rests], axis=-1)
    print(f"flow of {rests.sum()} pixels that rest differs from depth and poses by at most {wrong.max():.1e} pixels")


# %% Warp the next picture to this one: each pixel takes the colour of where it goes.
def look_up(image: Any, at: Any) -> Any:
    """Values of (H, W, C) at pixel positions (..., 2), linear between pixel centres."""
    place = np.clip(at - 0.5, 0, [image.shape[1] - 1, image.shape[0] - 1])
    corner = np.minimum(place.astype(int), [image.shape[1] - 2, image.shape[0] - 2])
    (u, v), (i, j) = np.moveaxis((place - corner)[..., None], -2, 0), np.moveaxis(corner, -1, 0)
    upper = (1 - u) * image[j, i] + u * image[j, i + 1]
    lower = (1 - u) * image[j + 1, i] + u * image[j + 1, i + 1]
    return (1 - v) * upper + v * lower


here, there = (np.float64(each.picture[..., :3]) / np.iinfo(each.picture.dtype).max for each in (sample, after))
warped = look_up(there, target)

# %% Hidden there? Then the flow back from there does not come home.
back = look_up(after.backward_flow, target)
inside = hit & (target > 0).all(axis=-1) & (target < [width, height]).all(axis=-1)
visible = inside & (np.linalg.norm(sample.forward_flow + back, axis=-1) < 0.5)
print(f"{visible.mean():.1%} of the pixels are seen in frame {after.frame}, too")
before, since = (np.abs(other - here)[visible].mean() for other in (there, warped))
print(f"their colours differ by {before:.4f} before and {since:.4f} after warping")

# %% Look: this picture, the next one, the next one warped to this.
if len(sys.argv) > 2:
    strip = np.concatenate([here, there, np.where(visible[..., None], warped, 0)], axis=1)
    Image.fromarray((255 * strip).round().astype(np.uint8)).save(Path(sys.argv[2]))
    print(f"side by side: {sys.argv[2]}")
