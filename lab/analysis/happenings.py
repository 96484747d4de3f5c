"""What became of the things in an image from step to step: born, changed, dropped, corrected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab.analysis.timeline import Frame, Links


class Event(StrEnum):
    """What can happen to a thing at a step."""

    BORN = "born"
    """Found for the first time."""
    BACK = "back"
    """Found again after a step that showed its place and did not find it."""
    CHANGED = "changed"
    """Of another class than when it was found last."""
    CORRECTED = "corrected"
    """CLIP gave it another class than the teacher's."""
    KEPT = "kept"
    """Kept, having been dropped when it was found last."""
    DROPPED = "dropped"
    """Dropped, having been kept when it was found last."""
    GONE = "gone"
    """Not found any more, though its place was seen."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to a thing."""

    frame: int
    track: int
    event: Event
    place: int
    """Of its label in the frame; -1 when it is gone."""


@dataclass(slots=True)
class _Thing:
    label: int
    kept: bool
    is_gone: bool = False


def happenings(frames: Sequence[Frame], links: Links) -> list[Happening]:
    """Everything that happened, frame by frame: labels in their order, then what is gone."""
    things: dict[int, _Thing] = {}
    told: list[Happening] = []
    for index, (frame, tracks) in enumerate(zip(frames, links.tracks, strict=True)):
        for place, track in enumerate(tracks.tolist()):
            events = _events(frame, place, things.get(track))
            told += [Happening(index, track, event, place) for event in events]
            things[track] = _Thing(int(frame.labels[place]), bool(frame.kept[place]))
        found = set(tracks.tolist())
        for track, thing in things.items():
            if track not in found and track not in links.hidden[index] and not thing.is_gone:
                thing.is_gone = True
                told.append(Happening(index, track, Event.GONE, -1))
    return told


def _events(frame: Frame, place: int, before: _Thing | None) -> Iterator[Event]:
    label, kept = int(frame.labels[place]), bool(frame.kept[place])
    if before is None:
        yield Event.BORN
    elif before.is_gone:
        yield Event.BACK
    if before is not None and label != before.label:
        yield Event.CHANGED
    if label != int(frame.labels_before[place]):
        yield Event.CORRECTED
    if before is not None and kept != before.kept:
        yield Event.KEPT if kept else Event.DROPPED
