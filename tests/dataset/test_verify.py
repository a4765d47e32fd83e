"""Verification of a dataset made without Blender: nothing wrong is found in the good one, each damage is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.damage import DAMAGES, JOURNALS, document, edit, file_of
from tests.synthetic import CAMERAS, FIRST, NUM_FRAMES, WIDTH, write_dataset
from visionsim.cli._verify import show_verified
from visionsim.dataset.journal import Journal
from visionsim.errors import InputNotFound
from visionsim.verify.report import CHECKS, SequenceResult, Verified, VerifyReport
from visionsim.verify.run import verify

FRAMES = list(range(FIRST, FIRST + NUM_FRAMES))
FEW = 5
"""Frames in which most damage is found as well as in more: each neighbour of what is damaged has another one."""


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "renders" / "scene" / "001-00005-00012"
    return write_dataset(folder)


@pytest.fixture
def copy(tmp_path) -> Path:
    """A good dataset, to be damaged."""
    return write_dataset(tmp_path / "copy", num_frames=FEW)


def verify_one(folder: Path) -> SequenceResult:
    (row,) = verify([folder], jobs=1).sequences
    return row


def test_nothing_is_wrong_with_a_good_dataset(good):
    events: list[Verified] = []
    report = verify([good.parents[2]], jobs=1, observe=events.append)
    (row,) = report.sequences
    assert row.found.problems == [] and row.found.notes == []
    assert report.exit_code == 0 and report.frames == NUM_FRAMES
    # Each check really looked at something.
    assert [check for check in CHECKS if row.status(check) != "ok"] == ["deep"]
    assert row.name == "scene/001-00005-00012"
    assert (events[-1].done, events[-1].total) == (NUM_FRAMES, NUM_FRAMES)


OF_EACH_SORT = [
    "flow sign",
    "two frames swapped",
    "depth truncated",
    "depths of two neighbours swapped",
    "shifted centre",
    "renumbered label",
]
"""What a journal tells of, or does not: files that changed, changed places or shrank, documents, and labels."""


@pytest.mark.parametrize(
    ("damage", "journal"),
    [
        *((damage, "no journal") for damage in DAMAGES),
        *((damage, journal) for damage in OF_EACH_SORT for journal in JOURNALS if journal != "no journal"),
    ],
    ids=lambda name: name.replace(" ", "-"),
)
def test_damage_is_found_and_its_files_are_named(tmp_path, damage, journal):
    copy = write_dataset(tmp_path / "copy")
    damaged = DAMAGES[damage](copy, FRAMES)
    JOURNALS[journal](copy)
    row = verify_one(copy)
    assert row.found.problems
    assert row.found.problems[0].file in damaged
    named = {problem.file for problem in row.found.problems}
    if damage == "two frames swapped" and journal != "journal as it was":
        # Their kinds agree with each other: it is enough to say which frames are wrong.
        assert {int(name[-10:-4]) for name in damaged} <= {problem.frame for problem in row.found.problems}
    else:
        assert damaged <= named


def test_first_wrong_pixel_is_named_with_what_should_be_there(copy):
    def change(channels):
        channels["R"][33, 44] += 0.25
        return channels

    edit(copy, "flows", FRAMES[3], change)
    JOURNALS["journal rewritten"](copy)
    (problem,) = verify_one(copy).found.problems
    assert (problem.check, problem.file, problem.frame) == ("flow", file_of("flows", FRAMES[3]), FRAMES[3])
    assert (problem.x, problem.y) == (44, 33)
    assert problem.found[0] - problem.expected[0] == pytest.approx(0.25, abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "channel", "value", "check"),
    [
        ("depths", "Y", -1.0, "files"),
        ("depths", "Y", np.nan, "files"),
        ("normals", "R", 3.0, "files"),
        ("flows", "B", np.inf, "files"),
        ("segmentations", "Y", 77, "files"),
        ("segmentations", "Y", 0, "background"),
        ("depths", "Y", np.inf, "background"),
    ],
)
def test_single_value_that_cannot_be_is_found(tmp_path, kind, channel, value, check):
    folder = write_dataset(tmp_path / "copy", num_frames=3)

    def change(channels):
        channels[channel][70, 20] = value
        return channels

    edit(folder, kind, FRAMES[1], change)
    JOURNALS["no journal"](folder)
    problem = verify_one(folder).found.problems[0]
    assert (problem.check, problem.frame, problem.x, problem.y) == (check, FRAMES[1], 20, 70)


def test_only_the_journal_sees_a_changed_byte_that_changes_no_value(copy):
    path = copy / file_of("frames", FRAMES[0])
    # A comment between the header and the pixels.
    data = path.read_bytes()
    path.write_bytes(data[:33] + bytes.fromhex("00000002744578744100e4e4f0a2") + data[33:])
    problems = verify_one(copy).found.problems
    assert [problem.check for problem in problems if problem.check == "journal"] == ["journal"]
    assert problems[-1].file == file_of("frames", FRAMES[0]) or problems[0].file == file_of("frames", FRAMES[0])


def test_unfinished_sequence_is_called_so_and_nothing_else(copy, capsys):
    (copy / "transforms.json").unlink()
    row = verify_one(copy)
    assert {problem.file for problem in row.found.problems} == {"transforms.json"}
    assert f"{FEW} frames recorded" in row.found.problems[0].message
    (copy / "info.json").unlink()
    row = verify_one(copy)
    assert row.found.unfinished and not row.found.problems and not row.ok and row.frames == 0
    show_verified(VerifyReport([row, row]))
    assert "Not verified: 2 sequences unfinished; 0 frames of 2 sequences" in capsys.readouterr().out


def test_missing_file_is_named_once(copy):
    (copy / file_of("normals", FRAMES[4])).unlink()
    problems = verify_one(copy).found.problems
    assert {(problem.check, problem.file) for problem in problems} == {("files", file_of("normals", FRAMES[4]))}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda content: content["frames"].pop(3), "frames are not"),
        (lambda content: content.update(fl_x=content["fl_x"] * 1.01), "fl_x"),
        (lambda content: content.update(shift_x=0.02), "cx"),
        (lambda content: content["intrinsics"][0].__setitem__(2, 0.0), "intrinsics[0][2]"),
        (lambda content: content["frames"][2].update(time=0.0), "time"),
        (lambda content: content["frames"][2].update(depth_file_path="depths/depth_000006.exr"), "depth_file_path"),
        (lambda content: content["generator"]["settings"].update(seed=1), "settings_digest"),
        (lambda content: content["frames"][1]["transform_matrix"][0].__setitem__(3, 9.0), "transform_matrix"),
    ],
)
def test_document_that_contradicts_itself_or_the_journal_is_refused(tmp_path, change, word):
    folder = write_dataset(tmp_path / "copy", kinds=("depths",))
    document(folder, change)
    problems = [problem for problem in verify_one(folder).found.problems if problem.check == "documents"]
    assert any(word in problem.message for problem in problems)


def test_info_is_computed_anew(copy):
    path = copy / "info.json"
    info = json.loads(path.read_text())
    path.write_text(json.dumps({**info, "distance_traveled": info["distance_traveled"] * 1.001}))
    JOURNALS["no journal"](copy)
    (problem,) = verify_one(copy).found.problems
    assert (problem.check, problem.file) == ("documents", "info.json")
    assert problem.found / problem.expected == pytest.approx(1.001)


@pytest.mark.parametrize("kinds", [(), ("depths",), ("depths", "flows"), ("segmentations",), ("normals", "flows")])
def test_dataset_with_some_kinds_only_is_verified_as_far_as_it_goes(tmp_path, kinds):
    write_dataset(tmp_path, kinds=kinds, num_frames=3)
    row = verify_one(tmp_path)
    assert row.found.problems == []
    assert row.status("roundtrip") == ("ok" if kinds == ("depths", "flows") else "skipped")
    # Without ids it is not known what stands still.
    assert row.status("flow") == "skipped" and ("flow" in row.found.skipped) == (kinds == ("depths", "flows"))


@pytest.mark.parametrize("camera", CAMERAS)
def test_nothing_is_wrong_with_a_good_dataset_of_any_camera(tmp_path, camera):
    row = verify_one(write_dataset(tmp_path / "good", camera=camera, num_frames=FEW))
    assert row.found.problems == [] and row.found.notes == []
    assert [check for check in CHECKS if row.status(check) != "ok"] == ["deep"]
    # Each frame has a neighbour to be compared with, also across a cut.
    assert row.found.compared["flow"] == 2 * (FEW - 1)
    assert row.found.compared["depth"] == row.found.compared["roundtrip"] == FEW - 1


OF_EACH_MODEL = [
    "orthographic",
    "equirectangular, shifted",
    "fisheye equidistant",
    "fisheye equisolid",
    "cut to a panorama",
]
"""Cameras that stand for a model each, and one that has two; the others are of the same models, but change."""


@pytest.mark.parametrize(
    ("camera", "damage"),
    [
        *(
            (camera, damage)
            for camera in CAMERAS
            if camera != "perspective"
            for damage in ("depth scaled everywhere", "shifted centre")
        ),
        *(
            (camera, damage)
            for camera in OF_EACH_MODEL
            for damage in ("flow sign", "depth scaled", "depths of two neighbours swapped")
        ),
        ("fisheye equidistant", "renumbered label"),
    ],
    ids=lambda name: name.replace(" ", "-"),
)
def test_damage_is_found_whatever_the_camera(tmp_path, camera, damage):
    copy = write_dataset(tmp_path / "copy", camera=camera, num_frames=FEW)
    damaged = DAMAGES[damage](copy, FRAMES[:FEW])
    if damage == "shifted centre" and camera.startswith("equirectangular"):
        # The document does not say it twice, as it says cx; but nothing fits any more.
        assert verify_one(copy).found.problems[0].file in damaged
        damaged = {file_of("flows", frame) for frame in FRAMES[:FEW]}
    JOURNALS["no journal"](copy)
    assert damaged <= {problem.file for problem in verify_one(copy).found.problems}


def test_what_a_lens_cannot_see_must_be_background(tmp_path):
    copy = write_dataset(tmp_path / "copy", camera="fisheye equidistant", num_frames=3)

    def change(channels):
        channels["Y"][2, 3] = 5.0
        return channels

    edit(copy, "depths", FRAMES[1], change)
    JOURNALS["no journal"](copy)
    problem = verify_one(copy).found.problems[0]
    assert (problem.check, problem.file, problem.x, problem.y) == ("files", file_of("depths", FRAMES[1]), 3, 2)
    assert "lens sees nothing" in problem.message


def test_flow_goes_the_shorter_way_round_a_panorama(tmp_path):
    copy = write_dataset(tmp_path / "copy", camera="equirectangular", num_frames=3)

    def change(channels):
        channels["R"][60, 50] += WIDTH  # It leads to the same point.
        return channels

    edit(copy, "flows", FRAMES[1], change)
    JOURNALS["no journal"](copy)
    (problem,) = verify_one(copy).found.problems
    assert (problem.check, problem.x, problem.y) == ("files", 50, 60) and "longer way" in problem.message


@pytest.mark.parametrize(
    ("camera", "change", "word"),
    [
        ("orthographic", lambda content: content.update(ortho_scale=7.0), "pixels_per_unit_x"),
        ("fisheye equidistant", lambda content: content.update(fisheye_fov=3.4), "fl_x"),
        ("fisheye equisolid", lambda content: content.update(fisheye_lens=11.0), "fl_x"),
        ("equirectangular, shifted", lambda content: content.update(latitude_max=2.0), "latitudes"),
        ("equirectangular", lambda content: content.update(longitude_max=-4.0), "longitude_max is not larger"),
        ("animated lens", lambda content: content["frames"][2].update(lens=35.0), "fl_x"),
        ("cut to a panorama", lambda content: content["frames"][5].pop("fov"), "needs fov"),
        ("cut to a panorama", lambda content: content["frames"][5].pop("fisheye_fov"), "fisheye_fov"),
    ],
)
def test_document_of_any_camera_that_contradicts_itself_is_refused(tmp_path, camera, change, word):
    copy = write_dataset(tmp_path / "copy", camera=camera, kinds=("depths",))
    JOURNALS["no journal"](copy)
    document(copy, change)
    problems = [problem for problem in verify_one(copy).found.problems if problem.check == "documents"]
    assert any(word in problem.message for problem in problems)


def test_without_ids_flow_still_has_to_lead_back(tmp_path):
    write_dataset(tmp_path, kinds=("depths", "flows"), num_frames=5)
    DAMAGES["flow sign"](tmp_path, [5, 6, 7, 8, 9])
    JOURNALS["no journal"](tmp_path)
    assert {problem.file for problem in verify_one(tmp_path).found.problems} == {file_of("flows", 7)}


def test_frames_apart_are_compared_by_depth_and_pose(tmp_path):
    write_dataset(tmp_path, step=2, num_frames=5)
    row = verify_one(tmp_path)
    assert row.found.problems == [] and row.status("flow") == "skipped" and row.status("depth") == "ok"
    DAMAGES["depth scaled"](tmp_path, [5, 7, 9, 11, 13])
    JOURNALS["no journal"](tmp_path)
    assert {problem.file for problem in verify_one(tmp_path).found.problems} == {file_of("depths", 9)}


def test_single_frame_is_enough(tmp_path):
    write_dataset(tmp_path, num_frames=1)
    assert verify_one(tmp_path).ok


def test_processes_find_what_one_alone_finds(copy, monkeypatch):
    monkeypatch.setattr("visionsim.verify.run.ALONE", 0)
    monkeypatch.setattr("visionsim.verify.run.CHUNK", 4)
    DAMAGES["depth scaled"](copy, FRAMES[:FEW])
    reports: list[VerifyReport] = [verify([copy], jobs=jobs) for jobs in (1, 2)]
    assert reports[0].sequences[0].found.problems == reports[1].sequences[0].found.problems
    assert [report.jobs for report in reports] == [1, 2]


def test_nothing_to_verify_is_a_wrong_request(tmp_path):
    with pytest.raises(InputNotFound, match="nothing to verify"):
        verify([tmp_path])
    with pytest.raises(InputNotFound, match="does not exist"):
        verify([tmp_path / "gone"])


def test_same_sequence_named_twice_is_verified_once(good):
    assert len(verify([good, good.parent, good.parents[2]], jobs=1).sequences) == 1


def test_report_as_json_is_plain(copy):
    DAMAGES["depth scaled"](copy, FRAMES[:FEW])
    document_ = json.loads(json.dumps(verify([copy], jobs=1).to_json()))
    assert document_["exit_code"] == 1 and document_["frames"] == FEW
    (row,) = document_["sequences"]
    assert row["checks"]["depth"] == {"status": "failed", "compared": row["checks"]["depth"]["compared"], "skipped": {}}
    assert row["problems"][0]["check"] == "journal"


def test_journal_of_other_settings_is_reported(copy):
    journal = Journal.read(copy)
    assert journal is not None
    journal.settings["seed"] = 9
    journal.begin()
    assert "journal" in verify_one(copy).found.problems[0].message
