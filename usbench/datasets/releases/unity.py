"""The Unity echocardiography release (2020-12-05): points and curves in frames of videos.

labels.zip and png-cache.zip, unpacked: labels/labels-{all,train,tune,ival}.json, a .txt list beside
each, and png-cache/01/4d/44/01-4d44…-0000.png (class, first two pairs of digits of the video's
64-digit code, frame). The labels may also lie at the top; a file or a label's name may lack the
class in front. Beside them, where the user has it from the authors, 01_database_physical.csv with
the pixels' sizes. Frames of one video are one group.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from usbench.datasets.codecs import image, pixel_sizes, unity_labels
from usbench.datasets.codecs.readers import read_lines
from usbench.datasets.layouts.folders import (
    ParsedFiles,
    relative_paths,
    require_split,
    require_target,
    sort_unique,
)
from usbench.errors import ConfigError, DataError
from usbench.io.files import write_atomically
from usbench.types import SPLITS, Landmarks, Layout, Record, Sample, Split, Task

PARTS: Mapping[Split, str] = {"train": "train", "val": "tune", "test": "ival"}
CLASSES = ("01", "02")  # development, and the other
SPACINGS = "01_database_physical.csv"
FRAME = re.compile(r"(?:(\d\d)-)?([0-9a-f]{64})-(\d{4,})\.png")


class Unity(Layout):
    """See usbench.types.Layout.

    Without classes given, they are the names that labels-all.json has seen, sorted.
    """

    name = "unity"
    version = 1

    written_as: Task = "landmark"

    def __init__(
        self,
        classes: Sequence[str] = (),
        two: unity_labels.Two = "unknown",
        records_without_image: int = 0,
    ) -> None:
        """Check the settings.

        Args:
            classes: () where labels-all.json names them.
            two: what exactly two values are, see codecs.unity_labels.
            records_without_image: how many the release is known to have; one more is an error.
        """
        if two not in ("unknown", "curve"):
            raise ConfigError(
                f"two={two}: expected unknown (masked, Unity's code of 2020) or curve (2024)"
            )
        self.classes, self._chosen = tuple(classes), tuple(classes)
        self.two, self.records_without_image = two, records_without_image
        self._parts = ParsedFiles(partial(unity_labels.read_unity_labels, two=two))
        self._missing: dict[str, int] = {}

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        cache = root / "png-cache"
        if not cache.is_dir():
            raise DataError(
                f"{cache}: expected the release's images here, found none; unpack "
                f"png-cache.zip into {root}"
            )
        all_labels = find_labels_folder(root) / "labels-all.json"
        content = unity_labels.read_unity_labels(all_labels, self.two)
        self.classes = self._chosen or tuple(sorted(content.seen))
        require_names(all_labels, self.classes, content.named)
        spacings = read_video_spacings(root / SPACINGS)
        records: list[Record] = []
        lone: list[str] = []
        for split, part in PARTS.items():
            path = all_labels.with_name(f"labels-{part}.json")
            labels = self._parts.read(path)
            require_names(all_labels, sorted(labels.seen), content.named)
            pictures = {name: find_picture(cache, name) for name in labels.images}
            require_same_list(path.with_suffix(".txt"), path, pictures)
            for name, picture in pictures.items():
                if picture is None:
                    lone.append(f"{path}: {name}")
                    continue
                code = strip_class(picture.name).partition("-")[0]
                paths, spacing = relative_paths(root, picture, path), spacings.get(code)
                records.append(Record(f"{split}/{picture.stem}", code, *paths, split, spacing))
        if len(lone) > self.records_without_image:
            raise DataError(
                f"{lone[0]}: expected an image below {cache}, found none ({len(lone)} such "
                f"records; {self.records_without_image} are a known defect of the release)"
            )
        self._missing = {"records without an image": len(lone)}
        if spacings:
            self._missing["images without a pixel size"] = sum(
                record.mm_per_px is None for record in records
            )
        return sort_unique(records)

    def read(self, root: Path, record: Record) -> Landmarks:
        """See usbench.types.Layout. The JSON is parsed again only when its size or time changed."""
        path, picture = root / str(record.label), Path(record.image)
        labels = self._parts.read(path)
        # The name of the label of png-cache/01/4d/44/….png may have the class in front, or not.
        group = picture.parts[-4]
        name = picture.name.removeprefix(f"{group}-")
        for spelling in (f"{group}-{name}", name):
            if spelling in labels.images:
                return labels.landmarks(spelling, self.classes)
        raise DataError(
            f"{path}: expected labels of {picture.name}, found none; fetch the file again"
        )

    def oddities(self) -> dict[str, int]:
        """See usbench.types.Layout; also what is missing."""
        total = Counter(self._missing)
        for labels in self._parts.contents.values():
            total.update(labels.oddities)
        return dict(sorted((+total).items()))

    def shared_files(self, root: Path) -> list[str]:
        """What the records depend on besides their own files, relative to the root."""
        paths = [find_labels_folder(root) / "labels-all.json", root / SPACINGS]
        return [path.relative_to(root).as_posix() for path in paths if path.is_file()]

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout.

        A sample's id is its file's stem where it is one of the release's form; else the code is the
        sha256 of its group, and the frames of a group are counted in their order.
        """
        targets: dict[Split, dict[str, Landmarks]] = {split: {} for split in SPLITS}
        spacings: dict[str, pixel_sizes.Spacing] = {}
        frames: Counter[str] = Counter()
        (root / "png-cache").mkdir(parents=True, exist_ok=True)
        for sample in samples:
            split, target = require_split(sample, SPLITS), require_target(sample, Landmarks)
            if not self._chosen:
                raise DataError(f"sample {sample.id}: expected names of landmarks, got none")
            name = frame_name(sample, frames[sample.group])
            frames[sample.group] += 1
            if any(name in part for part in targets.values()):
                raise DataError(
                    f"sample {sample.id}: expected a frame of its own, got {name} twice"
                )
            targets[split][name] = target
            group, code, _ = name.split("-")
            picture = root / "png-cache" / group / code[:2] / code[2:4] / name
            picture.parent.mkdir(parents=True, exist_ok=True)
            image.write_grey(picture, sample.image)
            spacing = sample.mm_per_px
            if spacing and spacings.setdefault(f"{group}-{code}", spacing) != spacing:
                raise DataError(
                    f"sample {sample.id}: expected one pixel size per video, got another than "
                    "before"
                )
        everything: dict[str, Landmarks] = {}
        for split, part in targets.items():
            self._write_labels(root / "labels", PARTS[split], part)
            everything |= part
        self._write_labels(root / "labels", "all", everything)
        if spacings:
            pixel_sizes.write_spacings(root / SPACINGS, spacings)
        return self.index(root)

    def _write_labels(self, folder: Path, part: str, targets: Mapping[str, Landmarks]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        unity_labels.write_unity_labels(folder / f"labels-{part}.json", targets, self._chosen)
        write_atomically(folder / f"labels-{part}.txt", "".join(map("{}\n".format, targets)))


# ---- names and places


def find_labels_folder(root: Path) -> Path:
    """Where the labels lie: in labels/, or at the top."""
    return root / "labels" if (root / "labels").is_dir() else root


def find_picture(cache: Path, name: str) -> Path | None:
    """The image of a label's name, whichever of both has the class in front.

    None where there is none.
    """
    match = FRAME.fullmatch(name)
    if not match:
        return None
    group, code, frame = match.groups()
    for folder in (group,) if group else CLASSES:
        for stem in (f"{folder}-{code}-{frame}", f"{code}-{frame}"):
            picture = cache / folder / code[:2] / code[2:4] / f"{stem}.png"
            if picture.is_file():
                return picture
    return None


def strip_class(name: str) -> str:
    """A frame's name without the class; others as they are."""
    match = FRAME.fullmatch(name)
    return f"{match[2]}-{match[3]}.png" if match else name


def frame_name(sample: Sample, frame: int) -> str:
    """The file name that a sample is written under: <class>-<code>-<frame>.png."""
    name = f"{sample.id.rpartition('/')[2]}.png"
    match = FRAME.fullmatch(name)
    if match:
        return name if match[1] else f"{CLASSES[0]}-{name}"
    return f"{CLASSES[0]}-{hashlib.sha256(sample.group.encode()).hexdigest()}-{frame:04d}.png"


# ---- checks


def require_names(path: Path, names: Iterable[str], named: frozenset[str]) -> None:
    """DataError for a class that labels-all.json doesn't name."""
    for name in names:
        if name not in named:
            raise DataError(
                f"{path}: expected labels of {name}, found none; correct the classes or fetch the "
                "files again"
            )


def require_same_list(path: Path, labels: Path, pictures: Mapping[str, Path | None]) -> None:
    """DataError where the list beside the labels, if there is one, names others (a record without
    image may lack).
    """
    if not path.is_file():
        return
    paths = map(str.strip, read_lines(path, "a list of image names"))
    listed = {strip_class(name.rpartition("/")[2]) for name in paths} - {""}
    labelled = {strip_class(name): picture for name, picture in pictures.items()}
    extra = sorted(listed - labelled.keys())
    lone = sorted(name for name, picture in labelled.items() if picture and name not in listed)
    if extra or lone:
        name, side = (extra[0], labels.name) if extra else (lone[0], path.name)
        raise DataError(
            f"{path}: expected the images of {labels.name}, got {name} missing in {side} "
            f"({len(extra)} only in the list, {len(lone)} only in the labels); fetch the labels "
            "again"
        )


def read_video_spacings(path: Path) -> dict[str, pixel_sizes.Spacing | None]:
    """Code of a video → mm per px, if the user has the table.

    Its hashes may have the class in front.
    """
    spacings = pixel_sizes.read_spacings(path) if path.is_file() else {}
    return {code.rpartition("-")[2]: spacing for code, spacing in spacings.items()}
