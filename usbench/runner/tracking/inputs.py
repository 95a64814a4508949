"""What a run reads and what it was scored on, in MLflow's terms: datasets and a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DIGEST = 12  # characters; MLflow takes up to 36
NAMES = ("case", "group", "class")  # columns of a case table that are text, even "0004"


@dataclass(frozen=True)
class SplitInput:
    """One split of a dataset as MLflow lists it among a run's datasets."""

    name: str  # <dataset>/<split>: MLflow keeps one input per name and digest
    fingerprint: str  # of the whole data
    context: str  # training | validation | testing
    counts: Mapping[str, int]  # images, groups
    facts: Mapping[str, str]  # such as the licence

    def to_mlflow(self) -> Any:
        """MLflow's DatasetInput. The digest is the start of the fingerprint."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        facts = {"fingerprint": self.fingerprint, **self.facts}
        dataset = Dataset(
            name=self.name,
            digest=self.fingerprint[:DIGEST],
            source_type="code",  # the type without a path or an address
            source=json.dumps({"tags": facts}, ensure_ascii=False),
            profile=json.dumps(dict(self.counts)),
        )
        return DatasetInput(dataset, [InputTag("mlflow.data.context", self.context)])


def encode_table(rows: Sequence[Mapping[str, str]]) -> str:
    """A case table as the JSON of MLflow's `log_table`, numbers as numbers, empty cells as null.

    `log_table` itself appends to a table that is there, so that sending twice would double it.

    Args:
        rows: as `usbench.results.store.load_cases` gives them, with the same columns.
    """
    columns = list(rows[0])
    values = []
    for name in columns:
        cells = [row[name] for row in rows]
        values.append(cells if name in NAMES else parse_column(cells))
    data = list(map(list, zip(*values, strict=True)))
    return json.dumps({"columns": columns, "data": data}, ensure_ascii=False)


def parse_column(cells: Sequence[str]) -> Sequence[str | float | None]:
    """A column's numbers, or its texts where one isn't a number; None for an empty cell."""
    try:
        return [json.loads(cell) if cell else None for cell in cells]
    except ValueError:
        return [cell or None for cell in cells]
