"""usbench: the benchmark harness for public ultrasound datasets.

    data = usbench.load_dataset("usgra", data="data")          open a release
    scores = usbench.score(targets, predictions, "segment", data.classes)
    result = usbench.run("usgra", "unet", data="data", seed=1)    what the command does
    results = usbench.load_results("results")                  read finished runs
    frame = usbench.to_frame(results)                          as a pandas table
    model = usbench.load_model(result.run_id)                  trained weights

`usbench.types` holds what passes between datasets, models and scores: Masks, Boxes, Landmarks.
Each name is loaded on first use, so that `import usbench` imports no torch, Hydra or pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "load_dataset",
    "load_model",
    "load_results",
    "run",
    "score",
    "to_frame",
]

if TYPE_CHECKING:
    from usbench.cli.api import load_dataset, load_model, load_results, run, score, to_frame
else:

    def __getattr__(name: str) -> object:
        """Load a name of the API when it is used for the first time."""
        if name not in __all__:
            raise AttributeError(f"module 'usbench' has no attribute {name!r}")
        globals()[name] = value = getattr(import_module("usbench.cli.api"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
