"""What the machine has, how many workers that is good for, and what each of them gets; on machines that are made up."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionsim import parallel
from visionsim.simulation import host
from visionsim.simulation.config import THREADS_VARIABLE, RenderConfig
from visionsim.simulation.host import (
    Gpu,
    Machine,
    disk_warning,
    free_bytes,
    memory_warning,
    num_workers,
    places,
    this_machine,
    threads_of,
    worker_environment_of,
)

GB = 10**9
SMALL = RenderConfig(width=64, height=64, autoscale=True)


def nvidia(*free: int) -> tuple[Gpu, ...]:
    return tuple(Gpu("nvidia", f"GPU-{index}", "card", gb * GB, gb * GB) for index, gb in enumerate(free))


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """(cores, {path: text}) -> a system with these cores and files."""

    def make(cores: int, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / "system" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.setattr(parallel, "SYSTEM", tmp_path / "system")
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))

    return make


# Looking.


def test_machine_without_containers(system):
    system(12, {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    4000000 kB\n", "proc/self/cgroup": "0::/\n"})
    assert this_machine() == Machine(12, 4_096_000_000)


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 12), ("200000 100000", 2), ("150000 100000", 2), ("20000 100000", 1), ("9900000 100000", 12)],
)
def test_cores_are_those_of_the_container(system, quota, cores):
    system(12, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": f"{quota}\n"})
    assert this_machine().cores == cores


def test_limit_of_any_group_above_counts(system):
    system(12, {
        "proc/self/cgroup": "1:name=systemd:/elsewhere\n0::/user/job.scope\n",
        "proc/meminfo": "MemAvailable: 64000000 kB\n",
        "sys/fs/cgroup/user/cpu.max": "300000 100000",
        "sys/fs/cgroup/user/job.scope/cpu.max": "max 100000",
        "sys/fs/cgroup/user/memory.max": "8000000000",
        "sys/fs/cgroup/user/memory.current": "5000000000",
        "sys/fs/cgroup/user/memory.stat": "anon 3000000000\ninactive_file 1000000000\n",
        "sys/fs/cgroup/user/job.scope/memory.max": "max",
        "sys/fs/cgroup/user/job.scope/memory.current": "4000000000",
    })  # fmt: skip
    assert this_machine() == Machine(3, 4_000_000_000)


def test_this_machine_has_cores_and_memory():
    here = this_machine()
    assert 1 <= here.cores <= (os.cpu_count() or 1)
    assert here.memory > 1 << 20


def tools(answers: dict[str, str]) -> Callable[[Sequence[str]], str]:
    return lambda command: answers.get(command[0], "")


def test_nvidia_gpus_are_known_by_their_uuid():
    text = "GPU-8a9b, NVIDIA RTX A6000, 47000, 49140\nGPU-77, NVIDIA L4, [N/A], [N/A]\nno devices were found\n"
    assert host.nvidia_gpus(tools({"nvidia-smi": text})) == [
        Gpu("nvidia", "GPU-8a9b", "NVIDIA RTX A6000", 47000 << 20, 49140 << 20),
        Gpu("nvidia", "GPU-77", "NVIDIA L4", 0, 0),
    ]
    assert host.nvidia_gpus(tools({})) == []


def test_amd_gpus_are_known_by_their_place():
    cards = {
        "card10": {"Card series": "MI300X", "VRAM Total Memory (B)": "2000", "VRAM Total Used Memory (B)": "500"},
        "card2": {"VRAM Total Memory (B)": "1000", "VRAM Total Used Memory (B)": "0"},
        "system": {"Driver version": "6.7"},
    }
    assert host.amd_gpus(tools({"rocm-smi": json.dumps(cards)})) == [
        Gpu("amd", "2", "card2", 1000, 1000),
        Gpu("amd", "10", "MI300X", 1500, 2000),
    ]
    assert host.amd_gpus(tools({"rocm-smi": "ERROR: no driver"})) == []
    assert host.amd_gpus(tools({})) == []


@pytest.mark.parametrize(
    ("chosen", "ids"),
    [
        (None, ["GPU-0", "GPU-1", "GPU-2"]),
        ("", []),
        ("1", ["GPU-1"]),
        ("2, 0", ["GPU-2", "GPU-0"]),
        ("GPU-1", ["GPU-1"]),
        ("0,9,1", ["GPU-0"]),
        ("MIG-3,0", []),
        ("GPU-", []),
    ],
)
def test_only_gpus_that_we_were_given(chosen, ids):
    assert [gpu.id for gpu in host.visible(nvidia(1, 1, 1), chosen)] == ids


def test_gpus_are_asked_for_only_where_they_matter(monkeypatch):
    asked: list[str] = []
    text = "GPU-1, card, 1, 2\n"

    def ask(command: Sequence[str]) -> str:
        asked.append(command[0])
        return text if command[0] == "nvidia-smi" else ""

    monkeypatch.setattr(host, "ask", ask)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert this_machine("cpu").gpus == this_machine("oneapi").gpus == ()
    assert asked == []
    assert [gpu.id for gpu in this_machine("auto").gpus] == ["GPU-1"]
    assert asked == ["nvidia-smi"]
    assert this_machine("hip").gpus == ()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert this_machine("auto").gpus == ()


@pytest.mark.parametrize("body", ["exit 3", "sleep 60"])
def test_tool_that_fails_or_hangs_has_nothing_to_say(body, tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho GPU-1, card, 1, 2\n{body}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(host, "TOOL_SECONDS", 0.2)
    assert this_machine("cuda").gpus == ()


# Deciding.


@pytest.mark.parametrize(
    ("machine", "workers"),
    [
        (Machine(2, 64 * GB), 1),
        (Machine(16, 64 * GB), 4),
        (Machine(64, 3 * GB), 5),  # 528 MB each.
        (Machine(64, 0), 1),
        (Machine(64, 64 * GB, nvidia(24)), 5),  # 4 GiB each.
        (Machine(64, 64 * GB, nvidia(24, 9)), 7),
        (Machine(64, 64 * GB, nvidia(1, 1, 1)), 3),
        (Machine(4, 64 * GB, nvidia(80, 80)), 4),
        (Machine(64, 3 * GB, nvidia(80)), 5),
    ],
)
def test_autoscale(machine, workers):
    assert num_workers(SMALL, machine) == workers


def test_autoscale_believes_what_a_job_needs():
    config = RenderConfig(autoscale=True, max_job_vram="10GB")
    assert num_workers(config, Machine(64, 25 * GB)) == 2
    assert num_workers(config, Machine(64, 25 * GB, nvidia(20, 10))) == 3  # Main memory is another matter.


def test_large_pictures_need_more_memory():
    machine = Machine(64, 16 * GB)
    large = RenderConfig(width=4096, height=4096, autoscale=True)
    assert num_workers(large, machine) < num_workers(SMALL, machine)


def test_without_autoscale_jobs_are_what_was_asked_for():
    assert num_workers(RenderConfig(jobs=7), Machine(1, 0)) == 7


@given(st.integers(1, 64), st.integers(1, 256))
def test_threads_fill_the_cores_and_no_more(workers, cores):
    threads = [threads_of(place, workers, cores) for place in range(workers)]
    assert sum(threads) == max(cores, workers)
    assert max(threads) - min(threads) <= 1


@given(st.integers(1, 12), st.lists(st.integers(0, 80), min_size=1, max_size=8))
def test_every_gpu_has_work_and_every_worker_a_gpu(workers, sizes):
    gpus = nvidia(*sizes)
    given_to = places(workers, gpus)
    assert len(given_to) == workers and all(given_to)
    if workers <= len(gpus):
        assert sorted(gpu.id for own in given_to for gpu in own) == sorted(gpu.id for gpu in gpus)
    else:
        assert all(len(own) == 1 for own in given_to)


def test_workers_go_where_the_memory_is():
    ids = [own[0].id for own in places(8, nvidia(24, 8))]
    assert (ids.count("GPU-0"), ids.count("GPU-1")) == (6, 2)
    assert [own[0].id for own in places(4, nvidia(24, 24))] == ["GPU-0", "GPU-1"] * 2


def test_each_worker_is_pinned_to_a_gpu():
    machine = Machine(5, 64 * GB, nvidia(24, 24))
    assert [worker_environment_of(place, 3, machine) for place in range(3)] == [
        {THREADS_VARIABLE: "2", "CUDA_VISIBLE_DEVICES": "GPU-0"},
        {THREADS_VARIABLE: "2", "CUDA_VISIBLE_DEVICES": "GPU-1"},
        {THREADS_VARIABLE: "1", "CUDA_VISIBLE_DEVICES": "GPU-0"},
    ]
    amd = (Gpu("amd", "0", "card0", GB), Gpu("amd", "1", "card1", GB))
    assert worker_environment_of(1, 2, Machine(8, GB, amd)) == {THREADS_VARIABLE: "4", "HIP_VISIBLE_DEVICES": "1"}


def test_fewer_workers_than_gpus_share_all_of_them():
    machine = Machine(8, 64 * GB, nvidia(8, 8, 8))
    assert worker_environment_of(0, 2, machine)["CUDA_VISIBLE_DEVICES"] == "GPU-0,GPU-2"
    assert worker_environment_of(1, 2, machine)["CUDA_VISIBLE_DEVICES"] == "GPU-1"


@pytest.mark.parametrize("gpus", [(), nvidia(24)])
def test_one_gpu_or_none_needs_no_choice(gpus):
    assert worker_environment_of(0, 2, Machine(8, GB, gpus)) == {THREADS_VARIABLE: "4"}


# Warnings.


def test_too_many_workers_for_the_memory_are_told():
    config = RenderConfig(width=64, height=64, jobs=8)
    assert memory_warning(config, 4, Machine(8, 3 * GB)) is None
    assert memory_warning(config, 8, Machine(8, 3 * GB)) == (
        "8 workers may need 4.2 GB of memory, and 3.0 GB are free: if workers die, try --render-config.jobs=5"
    )
    assert "close other programs" in (memory_warning(config, 1, Machine(8, 10**8)) or "")


def test_too_small_a_disk_is_told(tmp_path):
    folder = tmp_path / "not" / "there"
    free = free_bytes(folder)
    assert free > 0
    assert disk_warning(folder, free // 2) is None
    warning = disk_warning(folder, 10 * free)
    assert warning is not None and str(folder) in warning and f"{10 * free / 1e9:.1f} GB" in warning
