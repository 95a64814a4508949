"""The figures of scores as numbers that a test can compare."""

from collections.abc import Mapping

from usbench.metrics.scores import Figure


def figure_values(figures: Mapping[str, Figure]) -> dict[str, float | None]:
    """The figures' values by name."""
    return {name: figure.value for name, figure in figures.items()}
