"""The closing table, and the plan of a dry run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Answer, FakeRun, made_plan
from visionsim.cli._summary import frame_ranges, human_bytes
from visionsim.simulation.plan import Plan, Probe, ProbedScene, ScenePlan
from visionsim.simulation.report import Failure, RunReport, SequenceReport, grouped

ARGS = ("create-datasets", "--scenes-dir=scenes", "--datasets-dir=out")


def made_report(scenes: int = 2, sequences: int = 2) -> RunReport:
    rows = [
        SequenceReport(s.name, s.folder, len(s.frames), kept=3, rendered=7, seconds=8.75)
        for s in made_plan(scenes, sequences).sequences
    ]
    return RunReport(Path("out"), rows, elapsed=83.2)


@pytest.fixture(autouse=True)
def any_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a pipe."""
    monkeypatch.delenv("COLUMNS")


def test_report_of_a_good_run(
    call: Callable[..., Answer], fake_run: FakeRun, golden: Callable[[str, str], None]
) -> None:
    fake_run.result = made_report()
    answer = call(*ARGS)
    assert (answer.code, answer.err) == (0, "")
    golden("report.txt", answer.out)


def test_report_with_failures(
    call: Callable[..., Answer], fake_run: FakeRun, golden: Callable[[str, str], None]
) -> None:
    report = made_report()
    row = report.sequences[1]
    row.rendered, row.failed = 4, 3
    report.failures = [
        *(
            Failure("room1", row.name, (frame,), "in 3 attempts Blender was killed by SIGKILL", True)
            for frame in (14, 15, 19)
        ),
        Failure("room3", None, (), "Blender cannot open it: scenes/room [3].blend"),
    ]
    fake_run.result = report
    answer = call(*ARGS, "--render-config.log-dir=my-logs")
    assert answer.code == 1
    golden("report-failures.txt", answer.out)


def test_report_of_an_interrupted_run(call: Callable[..., Answer], fake_run: FakeRun) -> None:
    fake_run.result = dataclasses.replace(made_report(1, 1), interrupted=True)
    answer = call(*ARGS)
    assert answer.code == 130
    assert "Interrupted after 0:01:23: 7 frames rendered, 3 kept; run the same command again to go on" in answer.out


def test_report_of_many_sequences_has_a_row_per_scene(call: Callable[..., Answer], fake_run: FakeRun) -> None:
    fake_run.result = made_report(3, 30)
    lines = call(*ARGS).out.splitlines()
    assert lines[0].split() == "Folder in out/renders Sequences Frames Rendered Kept Failed s/frame".split()
    assert lines[1].split() == "room1 30 300 210 90 0 1.25".split()
    assert lines[4].split() == "In all 90 900 630 270 0 1.25".split()


def test_report_as_json(call: Callable[..., Answer], fake_run: FakeRun) -> None:
    fake_run.result = made_report()
    answer = call(*ARGS, "--json")
    assert (json.loads(answer.out), answer.err) == (fake_run.result.to_json(), "")


def test_plan_of_a_dry_run(call: Callable[..., Answer], fake_run: FakeRun, golden: Callable[[str, str], None]) -> None:
    plan = made_plan()
    failed = ScenePlan(dataclasses.replace(plan.scenes[0].scene, name="room3"), None, "Blender cannot open it")
    fake_run.result = dataclasses.replace(plan, scenes=(*plan.scenes, failed))
    answer = call(*ARGS, "--dry-run")
    assert (answer.code, answer.err) == (1, "")
    golden("plan.txt", answer.out)
    document = json.loads(call(*ARGS, "--dry-run", "--json").out)
    assert [scene["error"] for scene in document["scenes"]] == [None, None, "Blender cannot open it"]
    assert document["exit_code"] == 1
    assert document["scenes"][0]["sequences"][1] == {
        "name": "room1/001-00011-00021",
        "folder": "out/renders/room1/001-00011-00021",
        "num_frames": 10,
        "frames": {"start": 11, "stop": 21, "step": 1},
    }


def test_plan_of_a_thousand_sequences_is_short_but_whole_in_json(
    call: Callable[..., Answer], fake_run: FakeRun
) -> None:
    fake_run.result = made_plan(scenes=100, sequences=10)
    answer = call(*ARGS, "--dry-run")
    assert answer.code == 0
    assert answer.out.count("\n") < 100
    assert "In all 1000 sequences, 10000 frames, about 3.2 GB. Nothing was rendered." in answer.out
    document = json.loads(call(*ARGS, "--dry-run", "--json").out)
    assert sum(len(scene["sequences"]) for scene in document["scenes"]) == document["num_sequences"] == 1000


def probed_plan() -> Plan:
    rows = (
        ProbedScene("room1", 6, seconds=90.0, write_seconds=0.2, num_bytes=2_500_000),
        ProbedScene("room2", 6, error="RuntimeError: Out of memory"),
    )
    return dataclasses.replace(made_plan(), disk_bytes=90_000_000, probe=Probe(rows, 4, {"room1": 9000.0}))


def test_plan_with_a_probe(call: Callable[..., Answer], fake_run: FakeRun, golden: Callable[[str, str], None]) -> None:
    fake_run.result = probed_plan()
    answer = call(*ARGS, "--dry-run", "--probe")
    assert (answer.code, answer.err, fake_run.options["probe"]) == (1, "", True)
    golden("plan-probe.txt", answer.out)
    document = json.loads(call(*ARGS, "--dry-run", "--probe", "--json").out)
    assert (document["probe"]["hours"], document["probe"]["gigabytes"]) == (2.5, 0.09)
    assert [scene["error"] for scene in document["probe"]["scenes"]] == [None, "RuntimeError: Out of memory"]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_999, "1 MB"), (3.2e9, "3.2 GB"), (2e12, "2 TB")],
)
def test_human_bytes(number: float, text: str) -> None:
    assert human_bytes(int(number)) == text


def test_frame_ranges() -> None:
    assert frame_ranges([7]) == "frame 7"
    assert frame_ranges([3, 1, 2, 7]) == "frames 1-3, 7"
    assert frame_ranges(range(0, 40, 2)) == "frames 0, 2, 4, 6, 8, 10, 12, 14 and 12 more ranges"


def missing(name: str) -> str:
    return f"texture '{name}' is missing (renders pink): /textures/{name}.png"


def test_sentences_about_several_scenes_become_one_line() -> None:
    same = "the scene was saved for EEVEE; it is rendered with Cycles, and may look different"
    assert grouped({"a": [same, missing("wood")], "b": [same], "c": [same, missing("wood")], "d": []}) == [
        f"3 scenes: {same} (a, b, c)",
        f"2 scenes: {missing('wood')} (a, c)",
    ]


def test_sentences_that_differ_in_names_are_told_one_by_one_if_they_are_few() -> None:
    names = ["wood", "brick", "sky", "sand", "oak"]
    assert grouped({"a": [missing(name) for name in names[:3]]}) == [f"a: {missing(name)}" for name in names[:3]]
    (line,) = grouped({"a": [missing(name) for name in names[:3]], "b": [missing(name) for name in names[2:]]})
    assert line == f"2 scenes: {missing('wood')}; the same of 'brick', 'sky', 'sand', 'oak' (a, b)"


def test_notes_and_what_may_help_in_the_report(call: Callable[..., Answer], fake_run: FakeRun) -> None:
    report = made_report()
    report.findings = {"room1": [missing("wood")], "room2": [missing("wood")]}
    report.failures = [Failure("room3", None, (), "the scene has no active camera", again=False)]
    fake_run.result = report
    lines = call(*ARGS).out.splitlines()
    assert f"  2 scenes: {missing('wood')} (room1, room2)" in lines
    assert not any("run the same command again" in line for line in lines)
    report.failures.append(Failure("room4", None, (), "RuntimeError: out of memory"))
    assert "; run the same command again to retry some of them" in call(*ARGS).out
