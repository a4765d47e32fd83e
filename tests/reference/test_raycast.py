"""The reference itself, and that the closed-form scenes show what they are for."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reference import raycast
from tests.render.scenes import FAMILY, scene


@pytest.mark.parametrize("name", FAMILY)
def test_everything_shows_and_moves(name) -> None:
    made = scene(name)
    truths = [made.truth(index) for index in (0, 2)]
    shown = set(np.concatenate([np.unique(truth["body"]) for truth in truths]))
    hidden = [body.name for place, body in enumerate(made.bodies, start=1) if place not in shown]
    panorama = isinstance(made.camera, raycast.Panorama)
    # A fisheye does not see what is behind it; in one scene a ball is behind a sheet.
    assert set(hidden) <= ({"Behind", "Ball.Behind", "Ball.Moving"} if panorama else set())
    steps = []
    for truth in truths:
        hit = truth["body"] > 0
        assert hit.mean() > (0.3 if panorama else 0.45)
        for direction in ("forward", "backward"):
            assert np.isfinite(truth[direction][hit]).all()
            steps.append(np.abs(truth[direction][hit]).max())
        assert np.allclose(np.linalg.norm(truth["normal"][hit], axis=-1), 1)
    # Beside a camera cut everything may rest in one direction.
    assert (max if name.startswith("camera cut") else min)(steps) > 0.5


@pytest.mark.parametrize(
    "name", ["cut-outs", "orthographic, shifted", "equirectangular", "fisheye equisolid, portrait, shifted"]
)
def test_trying_fewer_pairs_changes_nothing(name, monkeypatch) -> None:
    """Every pixel with every triangle, for some of the rays."""
    made = scene(name)
    expected = made.truth(1)
    rng = np.random.default_rng(0)
    some = np.sort(rng.choice(expected["body"].size, 150, replace=False))

    def everything(camera, time, corners, rays):
        which, pixel = np.meshgrid(np.arange(len(corners)), some, indexing="ij")
        yield which.reshape(-1), pixel.reshape(-1)

    monkeypatch.setattr(raycast, "candidates", everything)
    found = raycast.cast(made.bodies, made.camera, 2)
    for kind, values in expected.items():
        a, b = (array.reshape(expected["body"].size, -1)[some] for array in (values, found[kind]))
        assert np.array_equal(a, b)


def test_a_ray_goes_through_holes_only() -> None:
    corners = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    bodies = [
        raycast.Body("near", corners, triangles, [np.eye(4)] * 3, holes=lambda p: p[:, 0] > 0),
        raycast.Body("far", corners - [0, 0, 1], triangles, [np.eye(4)] * 3),
    ]
    c2w = np.eye(4)
    c2w[2, 3] = 4.0
    # 8 x 8 pixels that see 2 x 2 at distance 4.
    camera = raycast.Camera([16.0] * 3, [16.0] * 3, [4.0] * 3, [4.0] * 3, 8, 8, [c2w] * 3)
    truth = raycast.cast(bodies, camera, 1)
    assert (truth["body"][:, :4] == 1).all() and np.allclose(truth["depth"][:, :4], 4)
    # It is seen within 0.8 of the axis at distance 4: three pixels and a bit.
    assert (truth["body"][1:7, 4:7] == 2).all() and np.allclose(truth["depth"][1:7, 4:7], 5)
