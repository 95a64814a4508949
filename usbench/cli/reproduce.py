"""Do the run of a result once more in a new process, and compare what comes out.

    usbench reproduce RESULT [--data DIR | --root DIR] [--weights FILE] [--folder DIR] [--results DIR]

RESULT is a result's file, name or run id. Configuration, seed, precision and threads are the
result's; the data must have its fingerprint (a phantom is drawn again and needs none). Verdict:
identical (the same predictions to the byte), within the interval (of the recorded score), or
different, with what differs in environment and code. Nothing below results is changed. Exit code 1
where it is different.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

from usbench.cli.options import Options, make_parser, run_verb, write_json
from usbench.evaluate import reproduce as reproduction
from usbench.io.console import say, table
from usbench.results import store


def reproduce(options: Options) -> int:
    """Do it again, show, write; the exit code."""
    old = store.load_finished(store.resolve_result(options.result, options.results))
    with tempfile.TemporaryDirectory(prefix="usbench-") as temporary:
        folder = options.folder.absolute() if options.folder else Path(temporary)
        config = reproduction.rebuild_config(
            old, options.data, folder, options.weights, options.root
        )
        new = reproduction.run_again(config)
    comparison = reproduction.compare(old, new)
    assert old.primary is not None  # it is done
    lines = []
    for name in dict.fromkeys([old.primary.name, *comparison.scores]):
        recorded, now = old.scores[name], new.scores.get(name)
        values = [recorded.value, recorded.low, recorded.high, now.value if now else None]
        lines.append([name, *("–" if value is None else f"{value:.6f}" for value in values)])
    title = f"{old.dataset} · {old.model} · seed {old.seed} · {old.run_id}"
    table(title, ["score", "recorded", "from", "to", "now"], lines)
    for line in comparison.surroundings:
        say(f"differs: {line}")
    same = "the same bytes" if comparison.verdict == "identical" else "others"
    say(f"{comparison.verdict}: the predictions are {same}")
    names = {"dataset": old.dataset, "task": old.task, "model": old.model}
    run = {"seed": old.seed, "run_id": old.run_id}
    write_json(options.json, {**names, **run, **asdict(comparison)})
    return 1 if comparison.verdict == "different" else 0


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 where it differs or can't be done here, 2 for others."""
    parser = make_parser(__doc__, "write the comparison as JSON too", "reproduce", ("results",))
    add = parser.add_argument
    add("result", metavar="RESULT", help="a result's file, name or run id")
    add("--data", type=Path, metavar="DIR", help="releases; default: USBENCH_DATA, else data")
    add("--root", type=Path, metavar="DIR", help="this one release, where it lies elsewhere")
    add("--weights", type=Path, metavar="FILE", help="the starting weights, if the run had some")
    add("--folder", type=Path, metavar="DIR", help="keep the run here, to resume it")
    return run_verb(reproduce, parser.parse_args(argv))
