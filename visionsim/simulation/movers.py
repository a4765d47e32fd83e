"""Matrices of all that moves rigidly at several times, as arrays; pure, and shared with the worker.

Objects have matrices of their own. Copies that follow their instancer share its matrices, however many they are.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from visionsim.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from visionsim.types import IdImage, Matrix

__all__ = ["Movers"]


@dataclass(frozen=True)
class Movers:
    """Objects and copies that move; all others stand still."""

    ids: NDArray[np.uint32]
    """(K,) different from each other."""
    which: NDArray[np.int32]
    """(K,) index of the matrices that each follows."""
    matrices: NDArray[np.float64]
    """(C, T, 4, 4) object-to-world at T times."""

    @classmethod
    def of(cls, objects: Mapping[int, Sequence[Matrix]]) -> Movers:
        """Objects by id, each with matrices of its own."""
        times = len(next(iter(objects.values()), ()))
        matrices = np.array(list(objects.values()), np.float64).reshape(len(objects), times, 4, 4)
        return cls(np.array(list(objects), np.uint32), np.arange(len(objects), dtype=np.int32), matrices)

    def pack(self) -> dict[str, Any]:
        """The same as values for JSON. Blender's matrices have single precision, which is what they are sent in."""
        arrays = (self.ids.astype("<u4"), self.which.astype("<i4"), self.matrices.astype("<f4"))
        ids, which, matrices = (base64.b64encode(array.tobytes()).decode("ascii") for array in arrays)
        return {"ids": ids, "which": which, "matrices": matrices, "shape": self.matrices.shape[:2]}

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> Movers:
        """Movers from what `pack` returned."""
        ids, which, matrices = (
            np.frombuffer(base64.b64decode(packed[name]), kind)
            for name, kind in (("ids", "<u4"), ("which", "<i4"), ("matrices", "<f4"))
        )
        return cls(ids, which, matrices.astype(np.float64).reshape(*packed["shape"], 4, 4))

    def of_pixels(self, ids: IdImage) -> NDArray[np.int32]:
        """(H, W) index of the matrices that each pixel's object follows, -1 where it stands still."""
        table = np.full(int(np.max(self.ids, initial=0)) + 2, -1, np.int32)
        table[self.ids] = self.which
        return table[np.minimum(ids, len(table) - 1)]

    def carry(self, which: NDArray[np.intp], now: int, then: int) -> NDArray[np.float64]:
        """(N, 4, 4): from where points are now to where they are then, in the world; times are indices.

        Raises:
            DataError: one is flat now (scaled to nothing along an axis) and does not stay flat along that axis, so that
                its points have no one way.
        """
        at, to = self.matrices[which, now], self.matrices[which, then]
        inverses = np.tile(np.eye(4), (len(at), 1, 1))
        inverses[:, :3, :3] = np.linalg.pinv(at[:, :3, :3], rcond=1e-6)
        inverses[:, :3, 3] = -np.einsum("nij,nj->ni", inverses[:, :3, :3], at[:, :3, 3])
        lost = np.eye(3) - inverses[:, :3, :3] @ at[:, :3, :3]
        left = np.abs(to[:, :3, :3] @ lost).max((1, 2), initial=0.0)
        wrong = left > 1e-6 * np.maximum(np.abs(to[:, :3, :3]).max((1, 2), initial=0.0), 1e-30)
        if wrong.any():
            number = self.ids[self.which == which[wrong.argmax()]][0]
            raise DataError(f"the object with id {number} is scaled to nothing: its flow is not defined")
        result: NDArray[np.float64] = to @ inverses
        return result
