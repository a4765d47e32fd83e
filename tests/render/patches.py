"""Changes in the bytes of a .blend that Blender itself would not make."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path


def blocks(data: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """Code, former address, first byte and end of each block of an uncompressed file of 64 bits.

    Source:
        Blender's BLO_core_bhead.hh and BLO_core_blend_header.hh; 5.0 has blocks with longer heads.
    """
    large = data[7:9].isdigit()  # "BLENDER17-01v0500" instead of "BLENDER-v405".
    position, head = (17, struct.Struct("<4siQqq")) if large else (12, struct.Struct("<4siQii"))
    while True:
        if large:
            code, _, address, length, _ = head.unpack_from(data, position)
        else:
            code, length, address, _, _ = head.unpack_from(data, position)
        start = position + head.size
        position = start + length
        yield code.rstrip(b"\0"), address, start, position
        if code == b"ENDB":
            return


def orphan_shape_keys(blend: Path) -> None:
    """Let all shape keys belong to a mesh that is not there, as in files that add-ons have worked on."""
    data = bytearray(blend.read_bytes())
    found = list(blocks(data))
    meshes = [struct.pack("<Q", address) for code, address, _, _ in found if code == b"ME"]
    keys = [(start, end) for code, _, start, end in found if code == b"KE"]
    assert keys
    for start, end in keys:
        owner = [at for mesh in meshes if (at := data.find(mesh, start, end)) >= 0]
        assert len(owner) == 1
        data[owner[0] : owner[0] + 8] = struct.pack("<Q", 0x7A7A7A7A)
    blend.write_bytes(data)
