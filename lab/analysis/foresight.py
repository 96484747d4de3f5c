"""Did the threshold plane of one run foretell what training with other thresholds kept?

The plane of run A says what other thresholds would have kept of A's candidates. A run B that was
trained with them has another student, hence another teacher and other candidates: the plane is
exact where they part, and the further they train the less it has to hold.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.analysis.quality import ratio
from lab.analysis.what_if import JUDGED, Answer


@dataclass(frozen=True, slots=True)
class Foresight:
    """What was foretold beside what happened."""

    foretold: Answer
    happened: Answer

    @property
    def kept_ratio(self) -> float:
        """Labels kept / labels foretold: 1 = as many; NaN when none was foretold."""
        return ratio(self.happened.kept, self.foretold.kept)

    @property
    def precision_gap(self) -> float:
        """Precision that happened - precision foretold, in [-1, 1]."""
        return self.happened.precision - self.foretold.precision

    @property
    def recall_gap(self) -> float:
        """Recall that happened - recall foretold, in [-1, 1]."""
        return self.happened.recall - self.foretold.recall

    @property
    def mix_distance(self) -> float:
        """Share of the kept labels that is of another kind than foretold, in [0, 1].

        The total variation distance of the two error mixes; NaN when one of them is empty.
        """
        mixes = (kind_shares(self.foretold), kind_shares(self.happened))
        gaps = (abs(one - other) for one, other in zip(*mixes, strict=True))
        return sum(gaps) / 2


def kind_shares(answer: Answer) -> tuple[float, ...]:
    """Shares of Cor, Loc, Sim, Oth and BG among the labels that can be judged; NaN without any."""
    judged = sum(answer.kinds[kind] for kind in JUDGED)
    return tuple(ratio(answer.kinds[kind], judged) for kind in JUDGED)
