"""What a run writes beside frames: the documents of a sequence that is complete."""

from __future__ import annotations

from visionsim.dataset.journal import Journal
from visionsim.dataset.schema import info_document, transforms_document, write_document
from visionsim.simulation.plan import SequencePlan, fps_of
from visionsim.simulation.writer import FrameFormat, write_frame

__all__ = ["FrameFormat", "write_documents", "write_frame"]


def write_documents(plan: SequencePlan, journal: Journal) -> None:
    """Write info.json and transforms.json from the journal, which is put in order first."""
    records = [journal.records[frame] for frame in plan.frames]
    fps = fps_of(plan.info, journal.settings["keyframe_multiplier"])
    step = plan.frames.step
    transforms = transforms_document(
        records, settings=journal.settings, fps=fps, frame_step=step, labels=plan.info.labels
    )
    journal.begin()
    write_document("info", plan.folder / "info.json", info_document(records, fps=fps, frame_step=step))
    write_document("transforms", plan.folder / "transforms.json", transforms)
