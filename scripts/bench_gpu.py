"""Check and time training on a CUDA device, stage by stage.

    python scripts/bench_gpu.py [--stages facts correct speed yolo real] [--device cuda:0]
                                [--data DIR] [--record] [--json FILE]
    python scripts/bench_gpu.py --dry-run

- facts: what the machine is, and what usbench takes it for.
- correct: predictions on the CPU and the GPU, a resumed run, micro-batches, memory after training,
  waits in each step (see gpu_checks.py).
- speed: a U-Net (ResNet-18) on phantoms, images per second of four loops. The bare step is forward,
  loss, backward, clipping and AdamW on one batch that lies on the GPU. Ours is timed by its epochs:
  the steps alone, and everything after the first epoch, with validation, the best weights and
  checkpoints. The plain loop has a DataLoader with worker processes, which open and augment PNGs of
  the net's size one by one; the precision, memory format, loss and fused AdamW are ours, and it
  neither validates nor writes anything.
- yolo: an epoch of YOLOv8 as usbench trains it, and of ultralytics alone on the same files with the
  same recipe and workers, both with their own validation and checkpoints.
- real: unet, deeplabv3 and yolov8 by their recipe `standard` on DIR/usgra, as
  `python -m usbench` runs them.

--dry-run does all but the last with tiny sizes on the CPU, to try the script; it records nothing.
The exit code is 1 where something isn't as it should be.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from scripts import gpu_checks, gpu_timings
from scripts.bench_quality import run_usbench
from scripts.bench_train import CLASSES
from scripts.gpu_timings import Bench
from scripts.measure_learning import prepare
from scripts.record import (
    Ratio,
    make_bench_parser,
    make_record,
    restart_as_child,
    save_record,
    warn_if_busy,
)
from usbench.cli.options import Options, run_verb, time_call, write_json
from usbench.datasets.layouts.index_masks import IndexMasks
from usbench.datasets.phantoms import phantom
from usbench.errors import ConfigError, DataError, RunError
from usbench.io.config import compose_alone
from usbench.io.console import say, table
from usbench.io.cores import count_cores
from usbench.runner import machine
from usbench.runner.resources import visible_gpus

PEERS = ("torchvision", "segmentation-models-pytorch", "ultralytics")
BARE, STEPS, WHOLE, PLAIN = "bare step", "usbench, steps", "usbench, whole", "plain loop"
REAL = ("unet", "deeplabv3", "yolov8")
MAX_WORKERS = 8  # of the plain loop


@dataclass(frozen=True)
class Findings:
    """What a stage found."""

    figures: Mapping[str, object]  # as JSON's data
    ratios: Sequence[Ratio] = ()
    problems: Sequence[str] = ()  # what isn't as it should be


# ---- facts


def state_facts(bench: Bench) -> Findings:
    """Print what the machine is; compare what usbench and torch see of it."""
    about = machine.describe(bench.device)
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    rows = {
        "processor": f"{about.processor}, {count_cores()} cores",
        "GPU": str(about.gpu),
        "memory": gpu_memory(bench),
        "CUDA, cuDNN": f"{about.cuda}, {about.cudnn}; the driver supports CUDA {about.driver}",
        "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "not set"),
        "compute capability of each GPU": str(machine.cuda_capabilities()),
        "device=auto": machine.resolve_device("auto"),
        "precision=auto": machine.resolve_precision("auto", bench.device),
        "TF32 by torch's defaults": f"convolutions {convolutions.allow_tf32}, matrix products "
        f"{products.allow_tf32}; off in usbench's runs",
        **about.packages,
    }
    table("this machine", ["fact", "value"], list(rows.items()))
    return Findings(rows, problems=facts_problems(bench) if bench.on_gpu else [])


def gpu_memory(bench: Bench) -> str:
    """Free and total memory of the GPU."""
    if not bench.on_gpu:
        return "None"
    free, total = torch.cuda.mem_get_info(bench.device)
    return f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"


def facts_problems(bench: Bench) -> list[str]:
    """Where usbench's view of the GPUs differs from torch's."""
    fast = torch.cuda.is_bf16_supported(including_emulation=False)
    count = torch.cuda.device_count()
    rows = [
        ("device=auto", "cuda:0", machine.resolve_device("auto")),
        ("precision=auto", "bf16" if fast else "fp32", bench.precision),
        ("number of GPUs", count, len(machine.cuda_capabilities())),
        ("number of GPUs for a sweep", count, len(visible_gpus())),
    ]
    return [f"{name}: expected {want}, got {got}" for name, want, got in rows if want != got]


# ---- correct


def check_results(bench: Bench) -> Findings:
    """Print what the checks of gpu_checks find."""
    checks = list(gpu_checks.run_checks(bench.device, bench.folder / "checks", bench.sizes.extent))
    rows = []
    for check in checks:
        limits = join_figures(check.limits)
        rows.append([check.name, join_figures(check.found), limits, answer(check)])
    table("checks", ["check", "found", "at most", "as it should be"], rows)
    for check in checks:
        for note in check.notes:
            say(f"{check.name}: {note}")
    figures = {
        check.name: {"found": finite(check.found), "at_most": check.limits} for check in checks
    }
    return Findings(figures, problems=[line for check in checks for line in check.problems()])


def finite(figures: Mapping[str, float]) -> dict[str, float | None]:
    """The figures as JSON takes them."""
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


def join_figures(figures: Mapping[str, float]) -> str:
    """Such as "box, px 0.05; score 0.002"."""
    return "; ".join(f"{name} {value:.3g}" for name, value in figures.items()) or "–"


def answer(check: gpu_checks.Check) -> str:
    """Whether a check found what it should; – where there is no limit."""
    if check.problems():
        return "no"
    return "yes" if check.limits else "–"


# ---- speed


def compare_loops(bench: Bench) -> Findings:
    """Print images per second of the bare step, of usbench's loop and of the plain loop."""
    side, root = bench.sizes.side, bench.folder / "pictures"
    counts = {"train": bench.sizes.drawn, "val": bench.sizes.val}
    spec = phantom.PhantomSpec("nerves", (side, side), counts, 0)
    samples = list(phantom.draw_samples(spec, "segment"))
    splits = {"train": samples[: bench.sizes.drawn], "val": samples[bench.sizes.drawn :]}
    IndexMasks(CLASSES, {"train": ("images", "masks")}).write(root, splits["train"])
    figures: dict[str, object] = {}
    rows, ratios = [], []
    for batch in bench.sizes.batches:
        with gpu_checks.exact_fp32():
            bare = gpu_timings.time_bare_step(bench, batch)
            steps, whole, peak = gpu_timings.time_ours(bench, batch, splits)
            plain = gpu_timings.time_plain(bench, batch, root)
        rates = {BARE: bare, STEPS: steps, WHOLE: whole, PLAIN: plain}
        rows.append([str(batch), *(f"{rate:.1f}" for rate in rates.values()), f"{peak:.0f}"])
        figures[f"batch {batch}"] = {"images_per_second": rates, "peak_mib": peak}
        ratios += compare_rates(rates, f"{side} px, batch {batch}, {bench.precision}")
    title = f"a U-Net (ResNet-18) at {side} px, {bench.precision}: images per second"
    table(title, ["batch", BARE, STEPS, WHOLE, PLAIN, "usbench's peak, MiB"], rows)
    return Findings({**figures, "workers": bench.workers}, ratios)


def compare_rates(rates: Mapping[str, float], size: str) -> list[Ratio]:
    """Ours against the others."""
    measured = f"time per image to train a U-Net (ResNet-18), {size}"
    bare, plain = "the bare step", "a plain PyTorch loop with workers, the same precision"
    return [
        Ratio(f"{measured}, steps alone", bare, rates[STEPS] / rates[BARE]),
        Ratio(f"{measured}, steps alone", plain, rates[STEPS] / rates[PLAIN]),
        Ratio(f"{measured}, with validation and checkpoints", bare, rates[WHOLE] / rates[BARE]),
    ]


# ---- yolo


def compare_yolo(bench: Bench) -> Findings:
    """Print the seconds of an epoch of YOLOv8 by usbench and by ultralytics alone."""
    drawn, val = bench.sizes.yolo_drawn
    figures: dict[str, object] = {}
    rows, ratios = [], []
    for recipe in bench.sizes.recipes:
        setting = prepare(
            "yolov8",
            "detect",
            lambda *overrides: compose_alone(overrides),
            recipe,
            bench.sizes.native,
            drawn + val,
        )
        train = setting.samples[:drawn] * bench.sizes.repeats
        splits = {"train": train, "val": setting.samples[drawn:]}
        with gpu_checks.exact_fp32():
            ours = gpu_timings.time_our_yolo(bench, setting, recipe, splits)
            theirs = gpu_timings.time_ultralytics(bench, setting, recipe, splits)
        rates = [f"{len(train) / seconds:.1f}" for seconds in (ours, theirs)]
        rows.append([recipe, f"{ours:.2f}", f"{theirs:.2f}", *rates])
        figures[recipe] = {"images": len(train), "usbench": ours, "ultralytics": theirs}
        net, imgsz, batch = setting.node["size"], setting.recipe["imgsz"], setting.recipe["batch"]
        measured = f"time per epoch of YOLOv8{net}, {imgsz} px, batch {batch}, {bench.precision}"
        ratios.append(Ratio(measured, "ultralytics alone", theirs / ours))
    header = [
        "recipe",
        "usbench, s",
        "ultralytics, s",
        "usbench, images/s",
        "ultralytics, images/s",
    ]
    table("an epoch of YOLOv8, with validation and checkpoints", header, rows)
    return Findings(figures, ratios)


# ---- real


def train_real(bench: Bench) -> Findings:
    """Print what runs on real images give, and how long they take."""
    if bench.data is None:
        say("real: left out, it needs --data DIR with DIR/usgra")
        return Findings({})
    figures: dict[str, object] = {}
    rows, problems = [], []
    for model in REAL:
        overrides = [f"data={bench.data}", "dataset=usgra", f"model={model}", "recipe=standard"]
        try:
            seconds, result = run_usbench([*overrides, f"device={bench.device}"])
        except RunError as error:
            problems.append(f"{model}: {error}")
            continue
        assert result.primary is not None and result.seconds is not None
        score = result.primary.value
        figures[model] = {
            "seconds": seconds,
            "stages": dict(result.seconds),
            result.primary.name: score,
            "precision": result.precision,
        }
        shown = "–" if score is None else f"{score:.3f}"
        stages = ", ".join(f"{name} {took:.0f} s" for name, took in result.seconds.items())
        rows.append([model, f"{seconds / 60:.1f}", stages, result.primary.name, shown])
        if result.device != "cuda":
            problems.append(f"{model}: expected a result of device cuda, got {result.device}")
    table("usgra, recipe standard", ["model", "minutes", "stages", "score", "value"], rows)
    return Findings(figures, problems=problems)


# ---- the command

STAGES: Mapping[str, Callable[[Bench], Findings]] = {
    "facts": state_facts,
    "correct": check_results,
    "speed": compare_loops,
    "yolo": compare_yolo,
    "real": train_real,
}


def run_stage(name: str, bench: Bench) -> Findings:
    """Do one stage; what stops it is a finding, and the others still tell something."""
    try:
        return STAGES[name](bench)
    except Exception as error:  # noqa: BLE001
        return Findings({}, problems=[gpu_checks.describe(error)])


def choose_stages(options: Options) -> list[str]:
    """The stages to do; UsbenchError where the options don't go together."""
    if options.dry_run and options.record:
        raise ConfigError("--record: expected a measurement, got --dry-run; leave one of them out")
    if options.data and not (options.data / "usgra").is_dir():
        raise DataError(f"--data {options.data}: expected a folder that holds usgra, found none")
    return [name for name in options.stages if not (options.dry_run and name == "real")]


def choose_device(name: str) -> str:
    """The CUDA device of that name; UsbenchError where there is none."""
    if not machine.cuda_capabilities():
        raise RunError(
            f"--device {name}: expected a CUDA device, this machine has none; --dry-run tries the "
            "script on the CPU"
        )
    device = machine.resolve_device(name)
    if device == "cpu":
        raise ConfigError(f"--device {name}: expected a CUDA device; --dry-run takes the CPU")
    if not torch.cuda.is_available():
        raise RunError(f"--device {name}: this torch ({torch.__version__}) can't use it")
    return device


def make_bench(options: Options, folder: Path) -> Bench:
    """What the options ask for."""
    if options.dry_run:  # one thread: nets this small gain nothing from a second
        return Bench("cpu", "fp32", 1, 1, folder, None, gpu_timings.TINY_SIZES)
    device, threads = choose_device(options.device), count_cores()
    return Bench(
        device,
        machine.resolve_precision("auto", device),
        threads,
        min(MAX_WORKERS, threads),
        folder,
        options.data,
        gpu_timings.FULL_SIZES,
    )


def measure(options: Options) -> int:
    """Do the stages, show, write; the exit code."""
    stages = choose_stages(options)
    figures: dict[str, object] = {}
    ratios: list[Ratio] = []
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = make_bench(options, Path(folder))
        options.load = warn_if_busy() if bench.on_gpu else 0.0
        torch.set_num_threads(bench.threads)
        for name in stages:
            seconds, findings = time_call(run_stage, name, bench)
            say(f"{name}: {seconds:.0f} s\n")
            figures[name] = {**findings.figures, "seconds": round(seconds, 1)}
            ratios += findings.ratios
            problems += [f"{name}: {problem}" for problem in findings.problems]
            content = {**figures, "problems": problems}
            record = make_record("bench_gpu", options, ratios, content, PEERS, bench.device)
            write_json(options.json, asdict(record))  # a later stage may be interrupted
    if not stages:
        return 0
    options.record = options.record and not problems
    save_record(options, record)
    for problem in problems:
        say(f"not as it should be: {problem}")
    return 1 if problems else 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for findings or without a GPU, 2 for wrong options."""
    if argv is None:
        restart_as_child()
    parser = make_bench_parser(__doc__)
    add = parser.add_argument
    stages = list(STAGES)
    add("--stages", nargs="+", choices=stages, default=stages, metavar="STAGE", help="default: all")
    add("--device", default="cuda:0", help="cuda or cuda:N; default: %(default)s")
    add("--data", type=Path, metavar="DIR", help="holds usgra, for the stage real")
    add("--dry-run", action="store_true", help="try the script on the CPU")
    return run_verb(measure, parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
