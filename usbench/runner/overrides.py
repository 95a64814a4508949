"""The overrides of a command as a result keeps them, so that the command can be given again.

Nothing of this machine's folders is kept: a word stands for them. What a result states elsewhere
(seed, fold, recipe, precision) and what decides nothing (device, results) is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

FOLDER, PATH = "DIR", "PATH"  # words for a release's folder, and for another file or folder
LEFT_OUT = {
    *("data", "source", "results", "runs", "tracking", "studies"),
    *("device", "threads", "debug", "overwrite", "plan", "retry_failed"),
    *("seed", "fold", "recipe", "precision", "evaluate_on"),
    *("sweep", "grids", "study", "tuned", "planned", "hydra", "hydra/launcher", "hydra/sweeper"),
}
# A path from the root of a file system, at the start of a value or within a list or mapping.
ABSOLUTE = re.compile(r"""(?:^|[\s=\[{,:'"])(?:/(?!/)|~|[A-Za-z]:[\\/](?!/)|\\\\)|file:""")


def overrides_to_keep(overrides: Iterable[str]) -> tuple[str, ...]:
    """The overrides that say what was run, without folders of this machine."""
    kept = []
    for override in overrides:
        key, equals, value = override.partition("=")
        name = key.lstrip("+~")
        if name in LEFT_OUT or name.partition(".")[0] == "hydra":
            continue
        if name == "dataset.root":
            value = FOLDER
        elif ABSOLUTE.search(value):
            value = PATH
        kept.append(f"{key}{equals}{value}")
    return tuple(kept)
