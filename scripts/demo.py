"""Render a small dataset of every kind from scenes/, and say what to look at: `python scripts/demo.py FOLDER`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from visionsim.dataset.kinds import KINDS
from visionsim.preview.sheet import contact_sheet, save_sheet

SCENES = Path(__file__).parent.parent / "scenes"
NAMES = ("street", "toy")
FRAMES, SIZE, SAMPLES = 3, 192, 32


def main(root: Path) -> int:
    scenes = root / "scenes"
    scenes.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (scenes / f"{name}.blend").write_bytes((SCENES / f"{name}.blend").read_bytes())
    options = ["--sequences-per-scene=1", f"--num-frames={FRAMES}", f"--render-config.log-dir={root / 'logs'}"]
    options += [f"--render-config.{name}={SIZE}" for name in ("width", "height")]
    options += [f"--render-config.max-samples={SAMPLES}", *(f"--render-config.{name}" for name in KINDS)]
    command = [sys.executable, "-m", "visionsim", "create-datasets", f"--scenes-dir={scenes}"]
    finished = subprocess.run([*command, f"--datasets-dir={root / 'datasets'}", *options], check=False)
    if finished.returncode:
        return finished.returncode
    sequences = sorted(path.parent for path in (root / "datasets").glob("renders/*/*/transforms.json"))
    sheet = root / "contact-sheet.png"
    save_sheet(contact_sheet(root / "datasets", tile=SIZE), sheet)
    print(f"\nA dataset of {len(sequences)} sequences with {FRAMES} frames each is in {root / 'datasets'}.")
    print(f"Look at {sheet}: a row for each sequence, a column for each kind of data.")
    print(f"`visionsim preview-datasets --datasets-dir={root / 'datasets'}` makes videos and a report of it.")
    print(f"Poses, intrinsics and labels are in {sequences[0] / 'transforms.json'}.")
    print("What each number means is in docs/conventions.md.")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
