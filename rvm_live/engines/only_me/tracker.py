"""Tracks people in small mattes: separates them, follows them from frame to frame, and finds them again after they
crossed."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes, Floats
from rvm_live.engines.only_me.colours import alike, bins_of, histogram, likelihood
from rvm_live.engines.only_me.people import KEEP_S, Part, Person, meant, packed

__all__ = ["FADE_S", "SIDE", "Tracker", "small_size"]

SIDE = 160
"""Longer side of the small mattes, pixels; lengths below are in these pixels."""
FADE_S = 0.3
"""Seconds of a fade from visible to invisible."""
_SOLID = 96
_LEAST, _CHOOSABLE = 0.002, 0.006
"""Least shares of the picture to be tracked, and to be chosen. Smaller parts belong to the nearest person."""
_NEAR, _FAR = 7.0, 12.0
"""Pixels nearer to a person than the first distance are theirs; the weight falls to 0 at the second."""
_CLAIM, _GONE = 0.1, 0.12
"""Shares of an area: least overlap of a part with an earlier person; below the second a person counts as hidden."""
_PER_PIXEL, _REACH, _HIDDEN = 0.35, 9.0, 4.0
"""Cost of each pixel of distance from where a person was, in nats of log-likelihood; the distance from which on the
cost is constant; and the cost for a hidden person, who may be anywhere."""
_KNOWN, _SAME = 0.6, 0.35
"""Least likeness of colours for a person to be recognised anywhere, and at the same place."""
_AGAIN_S, _YOUNG_S, _FORGET_S, _EMPTY_S, _YIELD_S = 2.0, 1.5, 20.0, 0.5, 1.0
_ABOVE = 5.0
_LEARN = 0.05
_SMALL, _LARGER = 0.025, 4.0
_MOST = 24
_LONGEST_S = 0.1


def small_size(width: int, height: int) -> tuple[int, int]:
    """The size of the small matte for a frame size."""
    share = min(1.0, SIDE / max(width, height))
    return max(1, round(width * share)), max(1, round(height * share))


class Tracker:
    """Processes small mattes one after another, and says which part of each stays.

    A part belongs to the person who was nearest before. Where people touch, each pixel is assigned by colour and
    position. A person who was out of sight is recognised by colour. New people are not shown.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The next matte is the first."""
        self._people: list[Person] = []
        self._marks: Bytes = np.zeros((0, 0), np.uint8)
        self._chosen = 0
        self._asked: tuple[str, int] | None = None
        self._moment_ns = 0
        self._empty_s = self._yield_s = 0.0
        self._begun = False

    @property
    def moving(self) -> bool:
        """Whether the same matte would now give another result."""
        return any(person.weight != self._goal(person) for person in self._people)

    def look(self, alpha: Bytes, picture: Bytes, moment_ns: int, asked: tuple[str, int]) -> Floats | None:
        """Weights of a matte: which part of it stays.

        Args:
            alpha: uint8 (h, w), of :func:`small_size`.
            picture: uint8 (h, w, 3) BGR.
            moment_ns: nanoseconds; those of later frames are later.
            asked: of :class:`~rvm_live.core.only_me.OnlyMe`.

        Returns:
            Weights, float32 (h, w), 0 to 1; None: all of it.
        """
        passed_s = min(max(moment_ns - self._moment_ns, 0) / 1e9, _LONGEST_S) if self._begun else 0.0
        self._moment_ns = moment_ns
        if self._marks.shape != alpha.shape:
            self._people, self._marks, self._chosen = [], np.zeros(alpha.shape, np.uint8), 0
        bins = bins_of(picture)
        self._marks = self._found(alpha, bins, passed_s)
        self._choose(asked, passed_s)
        for person in self._people:
            goal, step = self._goal(person), passed_s / FADE_S
            person.weight = min(max(goal, person.weight - step), person.weight + step) if self._begun else goal
        self._begun = True
        return self._weights(alpha)

    def _goal(self, person: Person) -> float:
        return float(person.mark == self._chosen and not person.gone_s)

    # Who is where ---------------------------------------------------------------------------------------------

    def _found(self, alpha: Bytes, bins: NDArray[np.int32], passed_s: float) -> Bytes:
        """The map of people, and what is known of each brought up to date."""
        marks = np.zeros(alpha.shape, np.uint8)
        parts = self._parts(alpha)
        for person in self._people:
            person.since_s += passed_s
        self._claim(parts, bins)
        alone: dict[int, list[Part]] = {}
        shared: set[int] = set()
        for part in parts:
            hidden = [p for p in self._people if p.behind and any(p.behind == owner.mark for owner in part.owners)]
            if len(part.owners) + len(hidden) > 1:
                shared |= {person.mark for person in part.owners}
                self._divide(part, [p for p in hidden if p not in part.owners], bins, marks, passed_s)
            elif part.owners:
                alone.setdefault(part.owners[0].mark, []).append(part)
        unknown = [part for part in parts if not part.owners]
        for mark, own in alone.items():
            kept, others = self._apart(own)
            if others:
                self._part_ways(self._of(mark), kept, others, bins, marks)
            for part in kept:
                marks[part.mask] = mark
        self._recognise(unknown, bins, marks)
        self._take_in(marks, bins, shared, passed_s)
        return marks

    def _parts(self, alpha: Bytes) -> list[Part]:
        mask = cv2.threshold(alpha, _SOLID - 1, 1, cv2.THRESH_BINARY)[1]
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        parts = []
        for number in range(1, count):
            left, _, width, _, area = (int(each) for each in stats[number])
            if area >= _LEAST * alpha.size:
                parts.append(Part(labels == number, area, left, left + width))
        return sorted(parts, key=lambda part: -part.area)

    def _claim(self, parts: Sequence[Part], bins: NDArray[np.int32]) -> None:
        """Assign each part to the people who were there before."""
        size = self._marks.size
        for part in parts:
            before = np.bincount(self._marks[part.mask], minlength=256)
            part.owners = [
                person
                for person in self._people
                if before[person.mark] >= max(1.0, _CLAIM * min(part.area, person.area * size))
            ]
            part.overlaps = {person.mark: int(before[person.mark]) for person in part.owners}
        self._settle(parts, bins)
        for part in parts:
            self._join(part)

    def _settle(self, parts: Sequence[Part], bins: NDArray[np.int32]) -> None:
        """People who touched are separate parts again: colours decide whose part is which, before position, because
        they may have crossed. What is left of them in another part belongs to the others."""
        several = [p for p in self._people if sum(p in part.owners for part in parts) > 1]
        mixed = [part for part in parts if len(part.owners) > 1 and any(p in several for p in part.owners)]
        fits = [
            (alike(person.colours, look) + 0.2 * part.overlaps[person.mark] / part.area, person.mark, number)
            for number, part in enumerate(parts)
            if any(person in several for person in part.owners) and mixed
            for look in [histogram(bins, part.mask)]
            for person in part.owners
        ]
        homes: dict[int, int] = {}
        for _, mark, number in sorted(fits, reverse=True):
            if mark not in homes and number not in homes.values():
                homes[mark] = number
        for _, mark, number in sorted(fits, reverse=True):
            homes.setdefault(mark, number)
        for mark, number in homes.items():
            person = self._of(mark)
            for part in parts:
                if person in part.owners and len(part.owners) > 1 and part.beside(parts[number]):
                    part.owners.remove(person)

    def _join(self, part: Part) -> None:
        """Drop a touching part that is not a person of its own: an arm that was cut off for a moment, or came in before
        its body. The chosen person never absorbs anybody who came in from outside."""
        for person in list(part.owners):
            for other in part.owners:
                again = person.part_of == other.mark and person.since_s < _AGAIN_S
                small = person.since_s < _YOUNG_S and person.area < 0.3 * other.area
                if other is person or not (again or (small and other.mark != self._chosen)):
                    continue
                if person.mark == self._chosen:
                    self._chosen, other.weight = other.mark, max(other.weight, person.weight)
                part.owners.remove(person)
                self._people.remove(person)
                break

    def _divide(
        self, part: Part, hidden: Sequence[Person], bins: NDArray[np.int32], marks: Bytes, passed_s: float
    ) -> None:
        """Divide people who touch: each pixel belongs to the person whom it fits best."""
        people = [*part.owners, *hidden]
        costs = np.stack([self._cost(person, bins, passed_s, hidden=person in hidden) for person in people])
        best = cv2.medianBlur(np.argmin(costs, axis=0).astype(np.uint8), 5)
        least = [max(_LEAST, _GONE * person.area) * part.mask.size for person in people]
        areas = [np.count_nonzero(part.mask & (best == number)) for number in range(len(people))]
        there = [number for number in range(len(people)) if areas[number] >= least[number]]
        there = there or [int(np.argmax(areas))]
        front = people[max(there, key=areas.__getitem__)]
        if len(there) < len(people):
            best = np.array(there, np.uint8)[np.argmin(costs[there], axis=0)]
        for number, person in enumerate(people):
            if number in there:
                marks[part.mask & (best == number)] = person.mark
                person.behind = 0
            else:
                person.behind = front.mark

    def _cost(self, person: Person, bins: NDArray[np.int32], passed_s: float, *, hidden: bool) -> Floats:
        cost = -likelihood(bins, person.colours)
        if hidden:
            return np.asarray(cost + _PER_PIXEL * _HIDDEN, np.float32)
        away = person.reach(self._marks, passed_s)
        return np.asarray(cost + _PER_PIXEL * np.minimum(away, _REACH), np.float32)

    def _apart(self, own: Sequence[Part]) -> tuple[list[Part], list[Part]]:
        """Of the parts of one person: those that may still be that person, and those of another who has separated."""
        kept: list[Part] = [own[0]]
        others: list[Part] = []
        for part in own[1:]:
            (others if part.beside(own[0]) and part.area >= _GONE * own[0].area else kept).append(part)
        return kept, others

    def _part_ways(
        self, person: Person, kept: list[Part], others: list[Part], bins: NDArray[np.int32], marks: Bytes
    ) -> None:
        """One person has become two: the one whose colours fit continues, the other was hidden, or is new."""
        several = [*kept[:1], *others]
        fits = [alike(person.colours, histogram(bins, part.mask)) for part in several]
        if len(kept) == 1 and max(fits) > fits[0] + 0.05:
            best = several[int(np.argmax(fits))]
            others[:] = [part for part in several if part is not best]
            kept[:] = [best]
        for part in others:
            colours = histogram(bins, part.mask)
            hidden = [each for each in self._people if each.behind == person.mark]
            known = max(hidden, key=lambda each: alike(each.colours, colours), default=None)
            if known is None or alike(known.colours, colours) < _SAME:
                known = self._new(colours, part_of=person.mark, weight=person.weight)
            if known is not None:
                known.behind, known.gone_s = 0, 0.0
                marks[part.mask] = known.mark

    def _recognise(self, unknown: Sequence[Part], bins: NDArray[np.int32], marks: Bytes) -> None:
        """Match parts with people who were gone, best first; the remaining parts are new people."""
        height, width = marks.shape
        absent = [person for person in self._people if not (marks == person.mark).any()]
        looks = [histogram(bins, part.mask) for part in unknown]
        pairs = []
        for number, part in enumerate(unknown):
            ys, xs = np.nonzero(part.mask)
            x, y = float(xs.mean()) / width, float(ys.mean()) / height
            for person in absent:
                fit = alike(person.colours, looks[number])
                off = float(np.hypot(x - person.x, y - person.y))
                near = person.gone_s < 1 and off < 0.15
                if fit >= (_SAME if near else _KNOWN):
                    pairs.append((fit + 0.2 * near - 0.2 * off, number, person.mark))
        taken: set[int] = set()
        back: set[int] = set()
        for _, number, mark in sorted(pairs, reverse=True):
            if number not in taken and mark not in back:
                taken.add(number)
                back.add(mark)
                marks[unknown[number].mask] = mark
        for number, part in enumerate(unknown):
            if number in taken:
                continue
            found = self._above(part, marks) or self._new(looks[number])
            if found is not None:
                marks[part.mask] = found.mark

    def _above(self, part: Part, marks: Bytes) -> Person | None:
        """A person directly above or below a part: one person cut in two."""
        away = cv2.distanceTransform((~part.mask).astype(np.uint8), cv2.DIST_L2, 3)
        for mark in np.unique(marks[(away <= _ABOVE) & (marks > 0)]):
            columns = np.flatnonzero((marks == mark).any(axis=0))
            if part.common(int(columns[0]), int(columns[-1]) + 1) >= 0.6 * (part.right - part.left):
                return self._of(int(mark))
        return None

    def _take_in(self, marks: Bytes, bins: NDArray[np.int32], shared: set[int], passed_s: float) -> None:
        height, width = marks.shape
        counts = np.bincount(marks.ravel(), minlength=256)
        for person in self._people:
            if not counts[person.mark]:
                person.gone_s += max(passed_s, 1e-3)
                continue
            mask = marks == person.mark
            ys, xs = np.nonzero(mask)
            before, at = (person.x, person.y), ((float(xs.mean()) + 0.5) / width, (float(ys.mean()) + 0.5) / height)
            person.x, person.y = at
            known, seen_before = person.area > 0, person.gone_s == 0
            person.gone_s, person.behind = 0.0, 0
            if person.mark in shared:  # the person may be half hidden, and pixels shared between people are uncertain
                person.right_s *= KEEP_S / (KEEP_S + passed_s)
                person.down_s *= KEEP_S / (KEEP_S + passed_s)
                continue
            person.touch_s = 0.0
            if known and seen_before and passed_s > 0:
                person.right_s += 0.2 * ((person.x - before[0]) / passed_s - person.right_s)
                person.down_s += 0.2 * ((person.y - before[1]) / passed_s - person.down_s)
            person.area = float(counts[person.mark]) / marks.size
            seen = histogram(bins, mask)
            person.colours = person.colours + _LEARN * (seen - person.colours) if known else seen
        self._people = [person for person in self._people if person.gone_s < _FORGET_S or person.mark == self._chosen]

    def _new(self, colours: Floats, *, part_of: int = 0, weight: float = 0.0) -> Person | None:
        """Add a new person; None if there are too many already."""
        taken = {person.mark for person in self._people}
        mark = next((each for each in range(1, _MOST + 1) if each not in taken), 0)
        if not mark:
            return None
        self._people.append(Person(mark, colours, weight=weight, part_of=part_of))
        return self._people[-1]

    def _of(self, mark: int) -> Person:
        return next(person for person in self._people if person.mark == mark)

    # Who is meant ---------------------------------------------------------------------------------------------

    def _choose(self, asked: tuple[str, int], passed_s: float) -> None:
        if asked != self._asked:
            self._asked, self._chosen = asked, 0
        present = [person for person in self._people if not person.gone_s]
        chosen = next((person for person in self._people if person.mark == self._chosen), None)
        if chosen is not None and chosen.gone_s:
            # Nobody replaces a person who has left. But whoever enters an empty picture may be the same person in
            # another coat.
            self._empty_s = 0.0 if present else self._empty_s + passed_s
            if self._empty_s >= _EMPTY_S:
                self._chosen, chosen = 0, None
        else:
            self._empty_s = 0.0
        able = [person for person in present if person.area >= _CHOOSABLE]
        if chosen is not None and asked[0] == "largest" and able and not chosen.gone_s:
            large = max(able, key=lambda person: person.area)
            more = chosen.area < _SMALL and large.area > _LARGER * chosen.area
            self._yield_s = self._yield_s + passed_s if more else 0.0
            if self._yield_s >= _YIELD_S:  # what had been chosen was an object such as a coat
                self._chosen = large.mark
        if not self._chosen and able:
            self._chosen = meant(able, asked[0], self._marks).mark

    # What stays -----------------------------------------------------------------------------------------------

    def _weights(self, alpha: Bytes) -> Floats | None:
        """For each pixel the weight of the nearest person; 0 far from everybody."""
        nearest = np.full(alpha.shape, _FAR, np.float32)
        weights = np.zeros(alpha.shape, np.float32)
        for person in self._people:
            if person.gone_s:
                continue
            away = cv2.distanceTransform((self._marks != person.mark).astype(np.uint8), cv2.DIST_L2, 3)
            nearer = away < nearest
            nearest[nearer] = away[nearer]
            if person.weight > 0:
                weights[nearer] = person.weight * np.clip((_FAR - away[nearer]) / (_FAR - _NEAR), 0, 1)
            else:
                weights[nearer] = 0
        return weights if bool((alpha[weights < 1] > 1).any()) else None

    # What is remembered ---------------------------------------------------------------------------------------

    @property
    def memory(self) -> list[Floats]:
        """The whole state, for a run that continues later."""
        words, times = self._asked or ("", -1)
        now = [self._chosen, self._empty_s, self._yield_s, self._begun]
        return [
            np.frombuffer(words.encode(), np.uint8).astype(np.float32),
            packed(np.array([times, self._moment_ns], np.int64)),
            packed(np.array(now, np.float64)),
            self._marks.astype(np.float32),
            *(packed(np.array(person.row, np.float64)) for person in self._people),
            *(person.colours for person in self._people),
            *(person.shape for person in self._people),
        ]

    def remember(self, memory: Sequence[Floats]) -> None:
        """Restore a state from :attr:`memory`."""
        words, counts, now, marks, *people = memory
        times, self._moment_ns = (int(each) for each in counts.view(np.int64))
        self._asked = None if times < 0 else (bytes(words.astype(np.uint8)).decode(), times)
        chosen, self._empty_s, self._yield_s, begun = (float(each) for each in now.view(np.float64))
        self._chosen, self._begun = int(chosen), bool(begun)
        self._marks = marks.astype(np.uint8)
        count = len(people) // 3
        parts = (people[count * part : count * (part + 1)] for part in range(3))
        self._people = [
            Person.of(row.view(np.float64), colours.copy(), shape.copy())
            for row, colours, shape in zip(*parts, strict=True)
        ]
