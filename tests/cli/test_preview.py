"""preview-datasets and show, as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import synthetic
from tests.helpers import REPOSITORY
from tests.preview.conftest import ffmpeg as ffmpeg  # A fixture.


@pytest.fixture
def root(tmp_path) -> Path:
    synthetic.write_dataset(tmp_path / "data" / "renders" / "balls" / "001-00005-00008", num_frames=3)
    return tmp_path / "data"


def test_previews_are_made_and_found(call, root, ffmpeg) -> None:
    answer = call("preview-datasets", f"--datasets-dir={root}", "--kinds=frames,depths", "--kinds", "flows", "--json")
    document = json.loads(answer.out)
    assert (answer.code, answer.err, document["exit_code"], document["damaged"]) == (0, "", 0, [])
    (row,) = document["sequences"]
    assert list(row["videos"]) == ["frames", "depths", "flows", "grid"] and row["kept"] == []
    assert all(Path(path).is_file() for path in [*row["videos"].values(), document["report"]])
    answer = call("preview-datasets", f"--datasets-dir={root}", "--kinds=frames", "--no-report")
    assert answer.code == 0 and "1 video, 1 of them from before: data/previews" in answer.out.replace(
        f"{root.parent}/", ""
    )


def test_damaged_frame_is_named(call, root, ffmpeg) -> None:
    path = root / "renders" / "balls" / "001-00005-00008" / "flows" / "flow_000006.exr"
    path.write_bytes(b"")
    answer = call("preview-datasets", f"--datasets-dir={root}", "--kinds=depths,flows")
    assert answer.code == 1 and "balls/001-00005-00008 frame 6: flows: " in answer.out and path.name in answer.out
    assert "3 videos" in answer.out and "purge-corrupted" in answer.out
    answer = call(
        "preview-datasets", f"--datasets-dir={root}", "--kinds=depths,flows", "--no-allow-skips", "--no-report"
    )
    assert answer.code == 1 and "no video of flows: frame 6 cannot be read" in answer.out and "1 video," in answer.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fps=0"], "--fps=0.0: must be from 0.01 to 1000"),
        (["--kinds=depth"], "--kinds=depth: there are only frames, depths"),
        (["--jobs=0"], "--jobs=0: must be at least 1"),
        (["--no-videos", "--no-report"], "leave nothing to do"),
        (["--flow-direction=up"], "'up' is not one of"),
    ],
)
def test_wrong_requests_write_nothing(call, root, options, message) -> None:
    before = sorted(root.rglob("*"))
    answer = call("preview-datasets", f"--datasets-dir={root}", *options)
    assert (answer.code, answer.out) == (2, "") and message in " ".join(answer.err.split())
    assert sorted(root.rglob("*")) == before


def test_without_ffmpeg_it_is_said_how_to_get_it(call, root, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(root))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    answer = call("preview-datasets", f"--datasets-dir={root}")
    assert answer.code == 2 and "pip install 'visionsim[video]'" in " ".join(answer.err.split())
    assert call("preview-datasets", f"--datasets-dir={root}", "--no-videos").code == 0
    assert (root / "report.html").is_file() and not (root / "previews").exists()


def test_script_has_the_command_too(root, ffmpeg) -> None:
    command = [sys.executable, REPOSITORY / "scripts" / "mkdataset.py", "preview-datasets", f"--datasets-dir={root}/"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command += ["--kinds=frames", "--no-report"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "") and "1 video" in done.stdout


def test_show_writes_a_sheet_and_draws_where_it_is_asked_to(call, root) -> None:
    answer = call("show", root)
    path = root / "previews" / "contact-sheet.png"
    assert (answer.code, answer.out, answer.err) == (0, f"{path}\n", "") and path.is_file()
    answer = call("show", root, "--out", root / "sheet.jpg", "--frame=6", "--draw=blocks", "--tile=64")
    assert answer.code == 0 and "▀\x1b" in answer.out and (root / "sheet.jpg").is_file()
    document = json.loads(call("show", root, "--json").out)
    assert document["rows"][0] == {"sequence": "balls/001-00005-00008", "frame": 5} and document["exit_code"] == 0


def test_show_names_what_is_damaged(call, root) -> None:
    (root / "renders" / "balls" / "001-00005-00008" / "depths" / "depth_000005.exr").unlink()
    answer = call("show", root)
    assert answer.code == 1 and "balls/001-00005-00008 frame 5: depths: The file is missing" in answer.out
    assert json.loads(call("show", root, "--json").out)["exit_code"] == 1
    assert call("show", root, "--frame=70").code == 2 and call("show", root / "nothing").code == 2
