"""Score others' predictions by the same scorers that runs are scored by. No torch is loaded.

    usbench score --task segment --targets DIR --predictions DIR --classes nerve,vessel
    usbench score --task segment --targets DIR --predictions DIR --values lesion=255
    usbench score --task detect --targets gt.json --predictions dt.json      COCO's files
    usbench score --task detect --targets DIR --predictions DIR              YOLO txt
    usbench score --task landmark --targets gt.json --predictions dt.json    Unity label JSON

    usbench score --task segment --dataset usgra --data DIR --predictions DIR --name "our model"

The last is scored on a dataset's test split and enters the leaderboard as an external row; a
dataset of your own needs --config-dir DIR, and --root DIR if it isn't in <data>/<dataset>.
--predictions also takes what a result keeps beside it there (NAME.predictions.json.gz), or the
folder of its run. Masks are index PNGs of one stem, 0 = background; of one class, masks of 0 and
255 or of one bit are read too. --values says which value stands for which class, in targets and
predictions alike; with it --classes isn't needed. An image without a prediction is scored as one in
which nothing was predicted, and counted; --strict refuses it. --group says which images belong
together (its first group in the name): intervals resample those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from usbench.cli.options import FOLDERS, MODELS, Options, add_config_dir, make_parser, run_verb
from usbench.types import Task

TASKS_OF: Mapping[str, Sequence[Task]] = {  # options that not every task takes
    "classes": ("segment", "detect"),
    "values": ("segment",),
    "spacing_mm": ("segment", "landmark"),
    "tolerance_mm": ("segment",),
    "tolerance_px": ("segment",),
    "ignore": ("segment",),
}
OF_FILES = {"group", "protocol", *TASKS_OF} - {"values"}  # options that a dataset has its own of


def parse_arguments(argv: list[str] | None) -> Options:
    """Parse the command line; an option that the task doesn't take is an error."""
    parser = make_parser(__doc__, "write every score and case", "score")
    add = parser.add_argument
    add("--task", choices=list(MODELS), required=True, help="what the files hold")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--targets", type=Path, metavar="PATH", help="the targets")
    group.add_argument("--dataset", metavar="NAME", help="a dataset of usbench: its test split")
    add("--predictions", type=Path, required=True, metavar="PATH")
    add("--name", metavar="NAME", help="with --dataset: the name of the row")
    for folder in FOLDERS:
        add(f"--{folder}", type=Path, metavar="DIR", help=f"with --dataset: default: {folder}")
    add("--root", type=Path, metavar="DIR", help="with --dataset: its own folder, wherever it lies")
    add("--strict", action="store_true", help="refuse an image without a prediction")
    add("--group", metavar="REGEX", help="its first group, in an image's name, is its group")
    reporting = "the reporting protocol, then others; may be repeated"
    add("--protocol", action="append", metavar="NAME", help=reporting)
    add("--classes", metavar="a,b", help="segment, detect: class 1, 2, … (YOLO: 0, …)")
    add("--values", metavar="a=128,b=255", help="segment: the classes' values, if not 1, 2, …")
    add("--spacing-mm", metavar="ROW,COLUMN", help="segment, landmark: mm per px")
    add("--tolerance-mm", type=float, metavar="MM", help="segment: of the surface Dice in mm")
    add("--tolerance-px", type=float, metavar="PX", help="segment: of the surface Dice in px (2)")
    add("--ignore", type=int, metavar="VALUE", help="segment: target pixels that count nowhere")
    add_config_dir(parser)
    options = parser.parse_args(argv)
    for name, value in vars(options).items():
        option = f"--{name.replace('_', '-')}"
        if value is None:
            continue
        if options.targets and name in ("name", "root", *FOLDERS):
            parser.error(f"{option} goes with --dataset")
        if options.dataset and name in OF_FILES:
            parser.error(f"{option} goes with --targets; a dataset has its own")
        if options.task not in TASKS_OF.get(name, MODELS):
            parser.error(f"{option} goes with --task {' or '.join(TASKS_OF[name])}")
    if options.dataset and not options.name:
        parser.error("--dataset needs --name: the name of the row")
    return options


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for files that can't be scored, 2 for wrong options."""
    options = parse_arguments(argv)
    from usbench.cli import score_work  # half a second, which --help doesn't need

    score = score_work.score_on_dataset if options.dataset else score_work.score
    return run_verb(score, options)
