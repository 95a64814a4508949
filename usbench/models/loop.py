"""The torch loop: every net of ours trains here.

No host sync inside an epoch; the set lies on the device when it fits, a batch is a gather, augmentation is one
call. Data order and
augmentation come from (seed, epoch) alone, so a run that is killed and started again goes the same way as one that
wasn't.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from usbench.errors import RunError
from usbench.io.console import bar, warn
from usbench.models.arrays import Arrays
from usbench.models.augment import Augment, augment
from usbench.models.optimise import learning_rate, optimiser_of, parts_of
from usbench.types import Run

MEAN, SD = 0.449, 0.226  # ImageNet's, averaged over its channels: what pretrained stems expect
GRADIENT_NORM = 5.0  # clipping, against the odd spike of a small batch

Loss = Callable[
    [Any, Tensor], Tensor
]  # the net's output (logits (B, K, h, w) …), a batch of targets → scalar
# images (B, h, w) uint8 and targets as they are stored → images (B, 1, h, w) in 0..1 and targets as the loss wants them
Prepare = Callable[[Tensor, Tensor, Augment, torch.Generator], tuple[Tensor, Tensor]]


def normalise(images: Tensor) -> Tensor:
    """(B, 1, h, w) in 0..1 → what the net reads."""
    return (images - MEAN) / SD


def normalise_by(images: Tensor, mean: Sequence[float], sd: Sequence[float]) -> Tensor:
    """(B, 1, h, w) in 0..1 → (B, len(mean), h, w): grey repeated, each channel by its own mean and SD."""
    shift, scale = (images.new_tensor(list(values)).view(1, -1, 1, 1) for values in (mean, sd))
    return (images - shift) / scale


def autocast(run: Run) -> AbstractContextManager[Any]:
    """The run's precision around a forward pass."""
    return torch.autocast(run.device.split(":")[0], torch.bfloat16, enabled=run.precision == "bf16")


def place(net: nn.Module, run: Run, channels_last: bool) -> nn.Module:
    """The net on the run's device, in the memory format its YAML asks for."""
    net = net.to(run.device)
    return net.to(memory_format=torch.channels_last) if channels_last else net


def fit(
    net: nn.Module,
    train: Arrays,
    loss: Loss,
    validate: Callable[[nn.Module], float],
    recipe: Mapping[str, Any],
    run: Run,
    channels_last: bool = False,
    prepare: Prepare = augment,
    to_net: Callable[[Tensor], Tensor] = normalise,
) -> None:
    """Train net in place by the recipe, and leave it with its best epoch's weights (also at run.dir/best.pt).

    recipe: epochs, batch, lr, weight_decay, schedule (see `optimise.learning_rate`), augment (none where it has none),
    optimizer (adamw, the default, radam, or sgd with its momentum), shuffle (false: in the set's order), micro_batch
    (see `optimise.parts_of`). validate: a higher figure is better. prepare: augments a batch, image and target
    together; to_net: what the net reads. Goes on from the last checkpoint in run.dir. Raises RunError where a loss
    isn't finite, or where the device's memory doesn't hold the images that go through the net at once.
    """
    place(net, run, channels_last)
    epochs, batch = int(recipe["epochs"]), min(int(recipe["batch"]), max(2, len(train.images)))
    steps, parts = max(1, len(train.images) // batch), parts_of(batch, recipe)
    optimiser = optimiser_of(net, recipe)
    schedule = learning_rate(optimiser, recipe, epochs, steps)
    plateau = schedule if isinstance(schedule, ReduceLROnPlateau) else None
    state: dict[str, Any] = {"net": net, "optimiser": optimiser, "schedule": schedule}
    done, best = resume(state, run)
    images, targets = resident(train, run.device)
    spec, shuffle = (
        Augment(**recipe.get("augment", {"hflip": 0.0})),
        bool(recipe.get("shuffle", True)),
    )
    with bar("training", epochs) as progress:
        progress.step(by=done)
        for epoch in range(done + 1, epochs + 1):
            net.train()
            total = torch.zeros((), device=run.device)
            rng = torch.Generator().manual_seed(run.seed * 1_000_003 + epoch)
            torch.manual_seed(run.seed * 1_000_003 + epoch)  # dropout
            for chosen in batches(len(train.images), batch, rng, shuffle):
                x, y = prepare(*gather(images, targets, chosen, run.device), spec, rng)
                x = to_net(x)
                x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
                optimiser.zero_grad(set_to_none=True)
                total += backward(net, loss, x, y, parts, run)
                nn.utils.clip_grad_norm_(net.parameters(), GRADIENT_NORM)
                optimiser.step()
                if not plateau:
                    schedule.step()  # type: ignore[call-arg]
            mean = total.item() / steps
            if not math.isfinite(mean):
                raise RunError(
                    f"epoch {epoch}: the training loss is {mean}, a finite one was wanted; try a lower lr or "
                    f"precision=fp32"
                )
            score = validate(net)
            for name, value in (
                ("train/loss", mean),
                ("val/score", score),
                ("lr", float(schedule.get_last_lr()[0])),
            ):
                run.log(name, value, epoch)
            if plateau:
                plateau.step(score)
            if score > best:
                best = score
                write(run.dir / "best.pt", net.state_dict())
            save(state, epoch, best, run.dir)
            progress.step(f"loss {mean:.3f}  val {score:.3f}  best {best:.3f}")
    net.load_state_dict(read(run.dir / "best.pt"))


def backward(net: nn.Module, loss: Loss, x: Tensor, y: Tensor, parts: int, run: Run) -> Tensor:
    """The gradients of one batch, in parts one after the other, each by its share of the images; and the loss.

    What a net or a loss computes over a whole batch (its normalisation, a soft Dice) is over a part then.
    """
    total = torch.zeros((), device=x.device)
    try:
        for images, targets in zip(x.tensor_split(parts), y.tensor_split(parts), strict=True):
            with autocast(run):
                cost = loss(net(images), targets) * (len(images) / len(x))
            cost.backward()  # type: ignore[no-untyped-call]
            total += cost.detach()
    except torch.OutOfMemoryError as full:
        raise RunError(
            f"{run.device}: its memory doesn't hold {-(-len(x) // parts)} images at once; the batch of {len(x)} stays "
            f"what it is with recipe.micro_batch, a divisor of it: so many at once, their gradients added up"
        ) from full
    return total


def batches(n: int, batch: int, rng: torch.Generator, shuffle: bool = True) -> Iterator[Tensor]:
    """Indices, shuffled or in order, in whole batches: a last batch of one image would break batch normalisation.

    A set smaller than a batch is one batch; one image alone is taken twice.
    """
    order = torch.randperm(n, generator=rng) if shuffle else torch.arange(n)
    if n < batch:
        yield order.repeat(math.ceil(batch / n))[:batch]
        return
    for start in range(0, n - batch + 1, batch):
        yield order[start : start + batch]


def resident(train: Arrays, device: str) -> tuple[Tensor, Tensor]:
    """The whole set on the device if it takes less than half of its free memory, else where it is."""
    tensors = [torch.from_numpy(array) for array in train]
    if device == "cpu":
        return tensors[0], tensors[1]
    free, _ = torch.cuda.mem_get_info(device)
    if sum(tensor.nbytes for tensor in tensors) < free // 2:
        tensors = [tensor.to(device) for tensor in tensors]
    return tensors[0], tensors[1]


def gather(images: Tensor, targets: Tensor, chosen: Tensor, device: str) -> tuple[Tensor, Tensor]:
    """One batch on the device."""
    chosen = chosen.to(images.device)
    return images[chosen].to(device, non_blocking=True), targets[chosen].to(
        device, non_blocking=True
    )


def write(path: Path, content: Any) -> None:
    """torch.save beside, then rename: a reader sees all of it or the file before it. RunError where it can't be."""
    beside = path.with_name(f"{path.name}.part")
    try:
        torch.save(content, beside)
        beside.replace(path)
    except (
        OSError,
        RuntimeError,
    ) as error:  # torch's own writer raises RuntimeError on a full disk
        beside.unlink(missing_ok=True)
        words = " ".join(str(error).split())[:160]
        raise RunError(
            f"{path}: can't be written ({words}); check the folder and its free space"
        ) from error


def read(path: Path) -> Any:
    """Tensors and plain values only: no pickled code is run. A .safetensors file holds tensors alone."""
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def save(state: Mapping[str, Any], epoch: int, best: float, folder: Path) -> None:
    """A checkpoint of a finished epoch; the last two are kept."""
    write(
        folder / f"checkpoint-{epoch:05d}.pt",
        {"epoch": epoch, "best": best, **{name: part.state_dict() for name, part in state.items()}},
    )
    for old in sorted(folder.glob("checkpoint-*.pt"))[:-2]:
        old.unlink()


def resume(state: Mapping[str, Any], run: Run) -> tuple[int, float]:
    """(epochs done, best score) of the newest checkpoint that can be read; (0, -inf) where there is none."""
    for path in sorted(run.dir.glob("checkpoint-*.pt"), reverse=True):
        try:
            saved = read(path)
            for name, part in state.items():
                part.load_state_dict(saved[name])
        except Exception as damage:  # noqa: BLE001  (whatever the unpickler makes of any bytes)
            warn(
                f"{path}: damaged checkpoint ({type(damage).__name__}); going back to the one before it"
            )
            path.unlink()
            continue
        return int(saved["epoch"]), float(saved["best"])
    return 0, -math.inf
