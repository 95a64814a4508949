"""A run that is watched: its selection rule follows a script, and what it saw and logged can be looked at."""

from __future__ import annotations

from pathlib import Path

import torch

from usbench.types import Run, Target


class Watch:
    """A scripted selection rule and a log: what a run saw, validation by validation."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = iter(scores)
        self.predicted: list[list[Target]] = []
        self.logged: dict[str, dict[int, float]] = {}
        self.threads: set[int] = set()

    def score(self, pairs) -> float:
        self.predicted.append([prediction for _, prediction in pairs])
        return next(self.scores)

    def log(self, name: str, value: float, step: int) -> None:
        self.logged.setdefault(name, {})[step] = value
        self.threads.add(torch.get_num_threads())


def a_run(folder: Path, watch: Watch, threads: int = 1, seed: int = 3) -> Run:
    """On one CPU core in fp32, unless told otherwise."""
    return Run(
        folder,
        device="cpu",
        seed=seed,
        precision="fp32",
        threads=threads,
        score=watch.score,
        log=watch.log,
    )
