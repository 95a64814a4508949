"""What is wrong with a release's files, collected into one error."""

from __future__ import annotations

from usbench.errors import DataError

MOST = 10  # that an error names


class Problems:
    """Sentences of the form "file: expected …, got …; what to do"."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def add(self, sentence: str) -> None:
        """Keep one for later."""
        self.sentences.append(sentence)

    def raise_any(self) -> None:
        """Raise DataError with at most ten of them, unless there are none."""
        if not self.sentences:
            return
        if len(self.sentences) == 1:
            raise DataError(self.sentences[0])
        shown = self.sentences[:MOST]
        numbered = " ".join(f"({n}) {sentence}" for n, sentence in enumerate(shown, start=1))
        more = "" if len(shown) == len(self.sentences) else f", the first {MOST}"
        raise DataError(f"{len(self.sentences)} problems{more}: {numbered}")
