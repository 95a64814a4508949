"""How to read the leaderboard: its legend, and what the titles of columns mean."""

from __future__ import annotations

import math
from collections.abc import Mapping

from usbench.io.numbers import format_count
from usbench.metrics import paired
from usbench.results.format import format_value, score_title

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
    "`3 of 5 folds` lacks some; it stands below the complete ones and has no rank. Where a "
    "release has folds and no other split, recipes that were trained on one fold alone are "
    "compared on that fold (`fold 0`), also with those that have all. Where case "
    "tables don't suffice for a protocol, the mean over folds is shown without an interval, and "
    "the note says so."
)
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


# ---- what the columns' titles mean

SCORE_MEANINGS = {
    "dice": "Overlap of mask and target: twice the common area over the sum of both areas.",
    "iou": "Intersection over union: the common area of mask and target over their joint area.",
    "pooled_dice": "Dice of all test images' pixels counted together, per class.",
    "empty_false_positive_rate": (
        "Share of the images without a class in which the model draws it. Lower is better."
    ),
    "precision": "Share of what was predicted that is right.",
    "recall": "Share of what is there that was found.",
    "nsd": "Share of the two outlines that lies within 2 px of each other.",
    "nsd_mm": "Share of the two outlines that lies within two pixels' larger side of each other.",
    "hd_px": "Hausdorff distance: the farthest distance between the outlines. Lower is better.",
    "hd_mm": "Hausdorff distance: the farthest distance between the outlines. Lower is better.",
    "hd95_px": (
        "95th percentile of the distances between the outlines, which a few stray pixels don't "
        "change. Lower is better."
    ),
    "hd95_mm": (
        "95th percentile of the distances between the outlines, in mm where the pixel size is "
        "known. Lower is better."
    ),
    "assd_px": "Average distance between the two outlines. Lower is better.",
    "assd_mm": (
        "Average distance between the two outlines, where the pixel size is known. Lower is better."
    ),
    "map50_95": (
        "Average precision of boxes: the mean over classes and over overlaps (IoU) from .50 to .95."
    ),
    "map50": "Average precision of boxes that overlap a target by IoU .50 or more.",
    "map75": "Average precision of boxes that overlap a target by IoU .75 or more.",
    "ar100": "Average recall: share of the targets found by at most 100 boxes per image.",
    "mre_px": "Mean distance between a predicted point and the target. Lower is better.",
    "mre_mm": (
        "Mean distance between a predicted point and the target, where the pixel size is known. "
        "Lower is better."
    ),
    "median_re_px": "Median distance between a predicted point and the target. Lower is better.",
    "ofd_nme": "Error of both ends of the occipitofrontal diameter, over its length.",
    "bpd_nme": "Error of both ends of the biparietal diameter, over its length.",
    "tad_nme": "Error of both ends of the transverse abdominal diameter, over its length.",
    "apad_nme": "Error of both ends of the anteroposterior abdominal diameter, over its length.",
    "fl_nme": "Error of both ends of the femur, over its length.",
    "ctr": "One minus the relative error of the cardiothoracic ratio.",
    "lvid_sd_mm": "SD of the differences from the experts' diameter of the left ventricle.",
    "mae_mm": "Mean absolute error of a clinical measurement in mm.",
    "mae_px": "Mean absolute error of a clinical measurement in px.",
    "mae_mm2": "Mean absolute error of a measured area in mm².",
    "mae_px2": "Mean absolute error of a measured area in px².",
    "mae_deg": "Mean absolute error of a measured angle in degrees.",
    "mae_pct": "Mean absolute error of a clinical measurement, in % of the true value.",
    "within_tolerance": (
        "Share of the images whose measurement is off by no more than clinics tolerate."
    ),
}
WITHOUT, WITHIN, CUSTOM, CLASS = (  # terms of columns whose titles vary
    "without leaking images",
    "within a distance",
    "custom score",
    "score of a class",
)
GLOSSARY: Mapping[str, str] = {  # title of a column, or term for some → what it means
    "rank": (
        "The places that paired tests on the same images leave a model: 1–3 means that no test "
        "tells it from the models that share a place. Rows without a rank were not compared."
    ),
    "model": "The model, as in model=NAME; where two rows have one name, what tells them apart.",
    "recipe": "The training settings: quick, standard or a paper's, and what was altered in them.",
    **{score_title(name): meaning for name, meaning in SCORE_MEANINGS.items()},
    WITHIN: "Share of the points predicted within so many px or mm of the target.",
    WITHOUT: (
        "The score without test images that resemble a training image, by the correlation r of "
        "32×32 thumbnails. A large drop says that the full score is optimistic."
    ),
    CUSTOM: "A score that the user's own metric adds.",
    CLASS: "The table's main score for one class alone.",
    "target score": (
        "What the targets themselves score under the protocol: below 1 where the protocol itself "
        "loses something."
    ),
    "seeds": (
        "How many trainings the score is a mean of, with their sample SD. 2 of 3: one failed or "
        "lacks folds."
    ),
    "groups": (
        "How many independent units, such as patients, the test images are of, with the standard "
        "error over them."
    ),
    "parameters": "How many numbers the model learns.",
    "mul–adds": "Multiplications and additions for one image, in thousands of millions (G).",
    "ms per image": (
        "Median time from the image at its own size to the prediction, one image at a time, on "
        "the machine that is named."
    ),
    "timed on": "The machine that the time per image was measured on.",
    "training h": "Hours of training, the mean over the seeds, each on its own machine.",
    "Δ published": (
        "Ours minus the published score, where protocol, data, model and recipe are the same; "
        "otherwise ≠ names what differs, and no difference is shown."
    ),
    "source": (
        "ours: run by usbench; external: other people's predictions, scored by usbench; human: one "
        "annotator against another; baseline: no network; else the paper, and who verified it."
    ),
    "note": "What else a reader should know of the row.",
    "notes": "Numbers of the notes below the table.",
    "seed": "The number that random choices start from.",
    "run id": "The hash that names a run and ends its files' names.",
    "status": "Whether the run failed or was skipped.",
    "reason": "Why there is no score.",
}


def score_term(score: str) -> str:
    """The glossary's term for the column of a score."""
    return WITHIN if score.startswith("sdr_") else score_title(score)


def describe_resolution(significant: float, detected: float, score: str) -> str:
    """Which differences between the two best a test can show.

    Args:
        significant: the difference near which p < .05 begins.
        detected: the true difference that is detected with 80 % probability.
        score: the name of the score.
    """
    return (
        f"Between the two best, p < .05 begins near a difference of "
        f"{format_value(significant, score)} {score_title(score)} (before Holm's correction); a true difference "
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
