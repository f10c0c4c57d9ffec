"""Two jobs of a cut that would draw the same picture."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.expand.effects import Effects
from runner.expand.points import Point, Points
from runner.expand.standing import At
from runner.faults import Faults
from runner.story import CUT
from runner.text.tree import Mark


@dataclass(slots=True)
class Twins:
    """Remembers the pictures of one cut by hash and tells the first two that are alike."""

    points: Points
    effects: Effects
    faults: Faults
    _seen: set[int] = field(default_factory=set)
    _pair: tuple[At, Point] | None = None

    def meet(self, at: At, point: Point) -> None:
        """Look at *point* and remember it."""
        if point.picture in self._seen and self._pair is None:
            self._pair = (at, point)
        self._seen.add(point.picture)

    def tell(self) -> None:
        """Note the first pair, and takes that no parameter tells apart."""
        if self.points.broken:
            return
        takes = self.points.takes
        if takes.count > 1 and not any(
            parameter.type == "seed"
            for template in self.points.templates
            for parameter in template.parameters.values()
        ):
            self._alike(self._mark_of_takes(), f"{takes.word}s", "the template has no seed")
        elif self._pair is not None:
            self._tell_pair(*self._pair)

    def _tell_pair(self, at: At, point: Point) -> None:
        first = next(
            ((other_at, other) for other_at, other in self.points if other.picture == point.picture), None
        )
        if first is None or first[0] == at or first[1].values != point.values:
            return
        number = next(number for number, _ in self.points.takes)
        differing = next(index for index, value in enumerate(at) if value != first[0][index])
        standing = self.points.standing.axes[differing]
        axis = standing.axis
        unused = all(word not in self.points.used for word in axis.words)
        if unused and (standing.scope.nearness == CUT or not all(map(self.effects.exists, axis.words))):
            return  # told as a word without effect, or as an unknown one
        take = f"{self.points.takes.word}={number}"
        # Under an outer axis the place does not tell which cut is meant.
        one = self._short(first[1].key) if standing.scope.nearness == CUT else first[1].key
        other = self._short(point.key)
        self.faults.at(
            axis.mark, f"{one}/{take} and {other}/{take} are the same picture: what differs is not used"
        )

    def _alike(self, mark: Mark, what: str, why: str) -> None:
        self.faults.at(mark, f"all {what} here are the same picture: {why}")

    def _mark_of_takes(self) -> Mark:
        standing = self.points.standing
        told = standing.told("seeds", ()) or standing.told("takes", ())
        return told.mark if told else standing.cut.mark

    def _short(self, key: str) -> str:
        return f"…{key.removeprefix(self.points.standing.cut.path)}"
