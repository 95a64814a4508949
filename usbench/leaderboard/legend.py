"""How to read the leaderboard: the lines that stand above its tables and on its page."""

from __future__ import annotations

import math

from usbench.io.numbers import format_count
from usbench.metrics import paired
from usbench.results.format import format_value

SEEDS = (
    "Several seeds of one recipe are one row with their mean. *seeds* is their number and sample "
    "SD; `2 of 3`: a seed failed or lacks folds, and the row shows the others. [a, b] is the 95 % "
    "interval over cases (resampled by group) of one training; for several seeds it is the mean "
    "of their intervals. *groups* is the number of groups and the standard error over them, which "
    "is another spread than the seeds'."
)
FOLDS = (
    "The folds of a recipe are one row: for each seed the cases of all folds are scored together, "
    "each tested once (a mAP is of the matches of all cases), and whole groups are resampled. "
    "`3 of 5 folds` lacks some; it stands below the complete ones and has no rank. Where case "
    "tables don't suffice for a protocol, the mean over folds is shown without an interval, and "
    "the note says so."
)
TARGET_SCORE = "*target_score* is the score of the target itself under the protocol."
OLD_VERSION = (
    "`older version`: trained by an older version of the model's adapter than the code's. The row "
    "stays and has no rank until the model is trained again."
)
LEGEND = (
    (
        "A score carries its protocol: its name stands above each table, its description below. "
        "Scores of two tables aren't comparable."
    ),
    SEEDS,
    FOLDS,
    TARGET_SCORE,
    (
        "*per image* is the time from the native image to its prediction at batch 1, on the named "
        "device. *training h* is the mean over the seeds, each on the machine that its result "
        "names."
    ),
    (
        "*rank* is the range of places that paired tests on the same cases leave a row (whole "
        "groups swapped, Holm over the table's pairs, level .05): rows whose ranges overlap are "
        "tied. Below a table stand the difference between the two best at which p < .05 begins "
        "and the true difference that such a test detects with 80 % probability, by Student's t."
    ),
    OLD_VERSION,
    (
        "*Δ published* is ours minus theirs, given only where protocol, data, model and recipe are "
        "the same; otherwise ≠ names what differs. `agrees`: the 90 % interval of the difference "
        "lies within ±δ (.02 unless the dataset's YAML states another). `higher`, `lower`: the 95 "
        "% interval excludes 0 and the difference exceeds δ. `can't tell`: neither, or fewer than "
        "6 groups or 2 seeds. The published number is taken as one training on the same cases, "
        "with our spread."
    ),
    (
        "A published row is verified by: `author`, stated by the authors; `third-party`, read in "
        "someone else's copy of their table; `no`."
    ),
)
PHANTOM_LEGEND = (
    SEEDS,
    FOLDS,
    (
        "*rank* is the range of places that paired tests on the same cases leave a row: rows whose "
        "ranges overlap are tied."
    ),
    TARGET_SCORE,
    OLD_VERSION,
)

TRANSFER = (
    "Trained on one dataset, scored on others without training there: the primary score, on the "
    "classes that both name. The score on the training dataset itself stands beside it."
)
NO_RESULT_BY_PROTOCOL = "No result of ours is scored by this protocol yet."
UNKNOWN_PROTOCOL = (
    "the evaluator behind these scores wasn't read, so no difference to them is shown."
)


def describe_resolution(significant: float, detected: float, score: str) -> str:
    """Which differences between the two best a test can show.

    Args:
        significant: the difference near which p < .05 begins.
        detected: the true difference that is detected with 80 % probability.
        score: the name of the score.
    """
    return (
        f"Between the two best, p < .05 begins near a difference of "
        f"{format_value(significant, score)} {score} (before Holm's correction); a true difference "
        f"of {format_value(detected, score)} is detected with 80 % probability."
    )


def describe_smallest_p(groups: int, models: int) -> str:
    """Why no test of some models can be significant; "" where one can."""
    corrected = paired.smallest_corrected_p(groups, models)
    if corrected < paired.ALPHA:
        return ""
    pairs = math.comb(models, 2)
    smallest = (
        f"With {format_count(groups, 'group')} the smallest possible p is {format_p(groups, 2)}"
    )
    holm = f", with Holm's correction for {pairs} pairs {format_p(groups, models)}"
    return f"{smallest}{holm if pairs > 1 else ''}: no difference here can be significant at .05."


def format_p(groups: int, models: int) -> str:
    """The smallest corrected p, with three decimals, or four below .001."""
    smallest = paired.smallest_corrected_p(groups, models)
    return f"{smallest:.{3 if smallest >= 0.001 else 4}f}".removeprefix("0")
