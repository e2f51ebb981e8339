"""One published number and everything a reader has to know before comparing with it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A number as a paper printed it, in the unit of our metric (shares in [0, 1] where `METRICS` says share).

    `paper` and `source` say where it stands ("Li et al. 2022", "Table 1"), `label` is the row as printed. `method` is
    our name where the row *is* that method, `dataset` ours where it is that dataset, printed as `dataset_title`.
    `metric` is a name of `METRICS`, or `other/` and the printed name where there is none. `spread`: what stands after
    ±; `interval`: as printed; `supervision`: the track as runs are tagged (`image+pixel`). `note`: why a number is
    doubtful or how it differs.
    """

    paper: str
    source: str
    label: str
    method: str | None
    dataset: str | None
    dataset_title: str
    subset: str | None
    metric: str
    value: float
    spread: float | None
    interval: tuple[float, float] | None
    protocol: str
    supervision: str | None
    note: str
    quoted: str = ""
    """The protocol of the number itself where it is not that of its table: size, split, metric, selection."""

    @property
    def comparable(self) -> bool:
        """Whether it was measured by the protocol of its table, so that a difference to ours means something."""
        return not self.quoted

    @property
    def stored(self) -> str:
        """The metric as runs store it: `pixel/miou`, of a subset `testA/pixel/miou`."""
        return self.metric if self.subset is None else f"{self.subset}/{self.metric}"

    @property
    def place(self) -> str:
        """Where the number stands, for messages: `Li et al. 2022, Table 1, row 'OEEM' (patch), GlaS, pixel/miou`."""
        track = "" if self.supervision is None else f" ({self.supervision})"
        return f"{self.paper}, {self.source}, row {self.label!r}{track}, {self.dataset_title}, {self.stored}"
