"""Make the README's picture: every kind of data of every demo scene, `python scripts/readme_picture.py IMAGE.jpg`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from visionsim.dataset.kinds import KINDS
from visionsim.preview.sheet import contact_sheet, save_sheet
from visionsim.simulation.config import RenderConfig
from visionsim.simulation.run import AnimationRequest, run

SCENES = Path(__file__).parent.parent / "scenes"
FRAMES = {"room": 120, "table": 300, "landscape": 480, "street": 300, "toy": 330}
SIZE, SAMPLES, SHOWN = 240, 128, 168


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="visionsim-picture-") as name:
        root = Path(name)
        config = RenderConfig(
            width=SIZE,
            height=SIZE,
            max_samples=SAMPLES,
            depths=True,
            normals=True,
            flows=True,
            segmentations=True,
            log_dir=root / "logs",
        )
        for scene, frame in FRAMES.items():
            folder = root / "scenes" / scene
            request = AnimationRequest(SCENES / f"{scene}.blend", folder, frame_start=frame, frame_end=frame)
            run(request, config, observe=lambda event: None)
        for kind in ("frames", *KINDS):
            sizes = [path.stat().st_size for scene in FRAMES for path in (root / "scenes" / scene / kind).iterdir()]
            print(f"{kind}: {sum(sizes) * 8 / len(sizes) / SIZE**2:.1f} bits per pixel")
        save_sheet(contact_sheet(root / "scenes", sequences=list(FRAMES), tile=SHOWN), target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
