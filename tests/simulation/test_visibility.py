"""Whether targets of motion are visible, on surfaces made by hand. No Blender."""

from __future__ import annotations

import math

import numpy as np
import pytest

from visionsim.cameras import CameraModel, Equirectangular, FisheyeEquidistant, Intrinsics, Orthographic
from visionsim.simulation.visibility import Surface, visible_targets

SIZE = HEIGHT, WIDTH = 12, 16
PINHOLE = Intrinsics(10.0, 10.0, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT)
WALL, CARD = 1, 2
NEAR, FAR = 2.0, 5.0


def steady(u: float, v: float = 0.0) -> np.ndarray:
    """(2, H, W): the same flow everywhere."""
    flow = np.empty((2, *SIZE), np.float32)
    flow[0], flow[1] = u, v
    return flow


def picture(card: slice | None = None, *, number: int = CARD) -> tuple[np.ndarray, np.ndarray]:
    """Ids and depth of a wall, in front of which a card covers some columns."""
    ids, depth = np.full(SIZE, WALL, np.uint32), np.full(SIZE, FAR, np.float32)
    if card is not None:
        ids[:, card], depth[:, card] = number, NEAR
    return ids, depth


def judge(flow, ids, there: Surface, camera: CameraModel = PINHOLE, depth=None) -> np.ndarray:
    return visible_targets(flow, ids, ids > 0, there, camera, depth)


def test_what_rests_is_visible():
    ids, depth = picture(slice(4, 8))
    assert judge(steady(0), ids, Surface(ids, depth, steady(0))).all()


def test_nothing_is_visible_where_motion_is_unknown():
    ids, depth = picture()
    known = np.zeros(SIZE, bool)
    known[3] = True
    assert np.array_equal(visible_targets(steady(0), ids, known, Surface(ids, depth, steady(0)), PINHOLE), known)


@pytest.mark.parametrize(("u", "v"), [(3.0, 0.0), (-2.25, 1.5), (0.0, -4.0)])
def test_targets_outside_of_the_picture_are_not_visible(u, v):
    ids, depth = picture()
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    inside = (x + u >= 0) & (x + u < WIDTH) & (y + v >= 0) & (y + v < HEIGHT)
    assert np.array_equal(judge(steady(u, v), ids, Surface(ids, depth, steady(-u, -v))), inside)


@pytest.mark.parametrize("number", [CARD, WALL])
@pytest.mark.parametrize("known_depth", [True, False])
def test_wall_is_hidden_by_a_card_that_moves_in_front_of_it(number, known_depth):
    """Whether the card has an id of its own, or is another part of the same object."""
    step = 5
    before, after = slice(2, 6), slice(2 + step, 6 + step)
    (ids, depth), (ids_there, depth_there) = (picture(card, number=number) for card in (before, after))
    flow, back = steady(0), steady(0)
    flow[0][:, before], back[0][:, after] = step, -step
    seen = judge(flow, ids, Surface(ids_there, depth_there, back), depth=depth if known_depth else None)
    columns = np.arange(WIDTH)
    hidden = (columns >= after.start) & (columns < after.stop)
    assert np.array_equal(seen, np.broadcast_to(~hidden, SIZE))


def test_edges_go_to_the_larger_part():
    """A wall moves by a part of a pixel below the edge of a card that rests."""
    ids, depth = picture(slice(0, 8))
    for share, visible in ((0.25, True), (0.75, False)):
        flow = np.where(ids == CARD, 0, steady(-share))
        there = Surface(ids, depth, -flow)
        assert judge(flow, ids, there)[:, 8].all() == visible
        assert judge(flow, ids, there)[:, 9:].all() and judge(flow, ids, there)[:, :8].all()


def test_a_nearer_surface_is_visible_up_to_its_own_edge():
    """Its target lies between pixels that mostly show what is behind it."""
    ids, _ = picture(slice(4, 8))
    ids_there, depth_there = picture(slice(4, 8))
    flow = np.where(ids == CARD, steady(0.4), 0)
    back = np.where(ids_there == CARD, steady(-0.4), 0)
    assert judge(flow, ids, Surface(ids_there, depth_there, back))[:, 4:8].all()


def test_what_is_not_there_any_more_is_not_visible():
    ids, depth = picture(slice(4, 8))
    ids_there, depth_there = picture()
    seen = judge(steady(0), ids, Surface(ids_there, depth_there, steady(0)), depth=depth)
    assert np.array_equal(seen, ids == WALL)


def test_where_flow_back_is_not_known_the_id_tells():
    """Blender has no vectors for particles that are born or die a frame later."""
    ids, depth = picture(slice(4, 8))
    back = steady(-3)
    back[:, :, 6:] = np.nan
    seen = judge(steady(0), ids, Surface(ids, depth, back))
    assert seen[:, 6:].all() and not seen[:, :5].any()


def test_what_is_behind_the_camera_is_not_visible():
    ids, depth = picture()
    there = Surface(ids, depth, steady(0))
    behind = depth.copy()
    behind[:, :5] *= -1
    assert np.array_equal(judge(steady(0), ids, there, depth=behind), behind > 0)


def test_own_other_side_hides_though_flow_leads_back():
    """A camera jumps to the other side of a slab: both sides are seen at the same pixels of both frames."""
    ids, depth = picture()
    there = Surface(ids, depth, steady(0))
    assert not judge(steady(0), ids, there, depth=depth + 3).any()
    assert judge(steady(0), ids, there).all()  # Flow alone cannot tell.


@pytest.mark.parametrize("factor", [0.25, 0.5, 2.0, 4.0])
def test_a_surface_that_grows_or_shrinks_is_one_surface(factor):
    """Flow changes by much from pixel to pixel, there and back."""
    ids, depth = picture()
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5 - np.array(SIZE)[:, None, None] / 2
    flow, back = (np.stack([x * k, y * k]).astype(np.float32) for k in (factor - 1, 1 / factor - 1))
    half_x, half_y = WIDTH / 2, HEIGHT / 2  # The first border belongs to the picture, the last one does not.
    inside = (x * factor >= -half_x) & (x * factor < half_x) & (y * factor >= -half_y) & (y * factor < half_y)
    assert np.array_equal(judge(flow, ids, Surface(ids, depth / factor, back), depth=depth / factor), inside)
    assert np.array_equal(judge(flow, ids, Surface(ids, depth / factor, back)), inside)


def test_a_picture_that_turns_upside_down_is_one_surface():
    ids, depth = picture()
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5 - np.array(SIZE)[:, None, None] / 2
    flow = np.stack([-2 * x, -2 * y]).astype(np.float32)
    assert judge(flow, ids, Surface(ids, depth, flow), depth=depth).all()


@pytest.mark.parametrize("known_depth", [True, False])
def test_a_slope_is_one_surface(known_depth):
    """Depth changes by much from pixel to pixel, and targets lie between them."""
    ids, _ = picture()
    x = np.arange(WIDTH, dtype=np.float32)
    depth, depth_there = (np.broadcast_to(2 + 3 * (x - u), SIZE).astype(np.float32) for u in (0.0, 0.5))
    seen = judge(
        steady(0.5), ids, Surface(ids, depth_there, steady(-0.5)),
        Orthographic(1.0, 1.0, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT), depth if known_depth else None,
    )  # fmt: skip
    assert seen[:, :-1].all()


def test_a_panorama_goes_round():
    globe = Equirectangular(-math.pi, math.pi, -1.0, 1.0, WIDTH, HEIGHT)
    ids, depth = picture()
    for u in (3.0, -3.3, 0.5):
        assert judge(steady(u), ids, Surface(ids, depth, steady(-u)), globe, depth).all()
    part = Equirectangular(-1.0, 1.0, -1.0, 1.0, WIDTH, HEIGHT)
    seen = judge(steady(3.0), ids, Surface(ids, depth, steady(-3.0)), part, depth)
    assert np.array_equal(seen, np.broadcast_to(np.arange(WIDTH) + 3 < WIDTH, SIZE))


def test_a_target_outside_of_a_fisheyes_circle_is_not_visible():
    lens = FisheyeEquidistant(WIDTH / 3, HEIGHT / 3, WIDTH / 2, HEIGHT / 2, 3.0, WIDTH, HEIGHT)
    ids, depth = picture()
    u = 2.0
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    inside = ((x + u - WIDTH / 2) / (WIDTH / 2)) ** 2 + ((y - HEIGHT / 2) / (HEIGHT / 2)) ** 2 <= 1
    assert np.array_equal(judge(steady(u), ids, Surface(ids, depth, steady(-u)), lens, depth), inside)


def test_parts_give_what_the_whole_gives(monkeypatch):
    from visionsim.simulation import visibility

    ids, depth = picture(slice(4, 9))
    flow, back = np.where(ids == CARD, steady(2.5), 0), steady(0)
    there = Surface(ids, depth, back)
    whole = judge(flow, ids, there)
    monkeypatch.setattr(visibility, "BLOCK", 7)
    assert np.array_equal(judge(flow, ids, there), whole) and whole.any() and not whole.all()
