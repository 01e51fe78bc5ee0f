"""What a benchmark hands back: one figure, the limit it is measured against, and what must be reached."""

from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table. `ratio` is the median of the rounds' own ratios, so it is not `ours / limit`."""

    id: str
    work: str
    ours: float
    limit: float
    unit: Literal["/s", "ms", "calls", "MB"]
    limit_is: str
    ratio: float
    ratios: tuple[float, ...]
    """Of each round: how far they lie apart is how far the median can be trusted."""
    reach: float
    at: Literal["least", "most"] = "least"
    """Whether `reach` is a floor or a ceiling."""
    note: str = ""

    @property
    def reached(self) -> bool:
        return self.ratio >= self.reach if self.at == "least" else self.ratio <= self.reach

    def as_plain(self) -> dict[str, object]:
        return {**asdict(self), "reached": self.reached}
