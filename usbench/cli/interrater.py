"""Score a dataset's two annotators against each other, from their label files alone.

    usbench interrater dataset=kidney data=DIR [results=DIR] [--json FILE]

No image is needed. A line per class: Dice under our protocol and under the release's own, with 95 %
intervals by cluster bootstrap over groups (patients), and the Dice of those images where both have
drawn the class. The result is kept below results as an unranked row "human agreement" of the
leaderboard; the same files give the same result.
"""

from __future__ import annotations

from pathlib import Path

from usbench.cli.options import Options, add_overrides, compose_for_verb, make_parser, run_verb
from usbench.datasets import source
from usbench.datasets.config import DatasetConfig
from usbench.errors import ConfigError, DataError
from usbench.evaluate import annotators
from usbench.io.console import say, table
from usbench.io.files import write_atomically
from usbench.results.measure_table import show_measures
from usbench.results.store import hash_case_ids, load_result, save_result
from usbench.runner.resolve import metric_node


def compare(options: Options) -> None:
    """Compare, show, save."""
    config = compose_for_verb(["model=unet", *options.overrides], options.config_dir, "interrater")
    dataset = DatasetConfig.from_mapping(config["dataset"])
    if "segment" not in dataset.views:
        raise ConfigError(
            f"dataset={dataset.name}: expected masks by two annotators, such as kidney's"
        )
    released, root = source.locate(dataset, config["data"], "real")
    phantom = not released or (root / source.MARK).is_file()
    layout = source.build_layout(dataset, "segment", phantom)
    raters = annotators.as_two_annotators(layout, dataset.name)
    for name in raters.drawings:
        if not (root / name).is_file():
            raise DataError(f"{root / name}: no annotator's labels found; {dataset.access}")
    metric = metric_node(config["metric"], dataset.views["segment"])
    agreement = annotators.score_agreement(raters, root, metric["protocols"], metric["measures"])
    fingerprint = annotators.drawings_fingerprint(raters, root)
    result = annotators.agreement_result(dataset, agreement, fingerprint, phantom)
    folder = Path(str(config["results"]))
    cases = hash_case_ids(agreement.scores.cases, dataset.redistribute, dataset.name)
    path = save_result(folder, result, cases)
    table(f"{dataset.name} · {result.data.splits}", *annotators.agreement_table(agreement.scores))
    show_measures(agreement.scores.protocols)
    for protocol in load_result(path).protocols:
        say(f"{protocol.name} {protocol.version}: {protocol.description}")
    for name, count in raters.oddities().items():
        say(f"note: {name}: {count}")
    say(f"result: {path}")
    if options.json:
        write_atomically(options.json, path.read_bytes())


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for damaged files, 2 for a wrong configuration."""
    parser = make_parser(__doc__, "write the result as JSON here too", "interrater")
    add_overrides(parser, "dataset=, data=, results=")
    return run_verb(compare, parser.parse_intermixed_args(argv))
