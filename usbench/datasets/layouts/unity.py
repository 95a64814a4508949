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
from pathlib import Path

from usbench.datasets.codecs import image, spacing_csv, unity_labels
from usbench.datasets.codecs.readers import read_lines
from usbench.datasets.layouts.folders import require_split, sort_unique
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
        # With the state that was read.
        self._files: dict[Path, tuple[tuple[int, int], unity_labels.LabelFile]] = {}
        self._missing: dict[str, int] = {}

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        folder, cache = find_labels_folder(root), root / "png-cache"
        if not cache.is_dir():
            raise DataError(
                f"{cache}: expected the release's images here, found none; unpack "
                f"png-cache.zip into {root}"
            )
        every = unity_labels.read_unity_labels(folder / "labels-all.json", self.two)
        self.classes = self._chosen or tuple(sorted(every.seen))
        require_names(folder / "labels-all.json", self.classes, every.named)
        spacings = read_video_spacings(root / SPACINGS)
        found: list[Record] = []
        lone: list[str] = []
        for split, part in PARTS.items():
            path = folder / f"labels-{part}.json"
            file = self._labels(path)
            require_names(folder / "labels-all.json", sorted(file.seen), every.named)
            pictures = {name: find_picture(cache, name) for name in file.labels}
            require_same_list(path.with_suffix(".txt"), path, pictures)
            lone += [f"{path}: {name}" for name, picture in pictures.items() if picture is None]
            found += [
                make_record(root, split, picture, path, spacings)
                for picture in pictures.values()
                if picture
            ]
        if len(lone) > self.records_without_image:
            raise DataError(
                f"{lone[0]}: expected an image below {cache}, found none ({len(lone)} such "
                "records; "
                f"{self.records_without_image} are a known defect of the release)"
            )
        self._missing = {"records without an image": len(lone)}
        if spacings:
            self._missing["images without a pixel size"] = sum(
                one.mm_per_px is None for one in found
            )
        return sort_unique(found)

    def read(self, root: Path, record: Record) -> Landmarks:
        """See usbench.types.Layout. The JSON is parsed again only when its size or time changed."""
        path = root / str(record.label)
        file = self._labels(path)
        name = next((name for name in spellings(record.image) if name in file.labels), None)
        if name is None:
            raise DataError(
                f"{path}: expected labels of {Path(record.image).name}, found none; fetch the "
                "file again"
            )
        return file.landmarks(name, self.classes)

    def oddities(self) -> dict[str, int]:
        """See usbench.types.Layout; also what is missing."""
        total = Counter(self._missing)
        for _, file in self._files.values():
            total.update(file.oddities)
        return {name: count for name, count in sorted(total.items()) if count}

    def shared_files(self, root: Path) -> list[str]:
        """What the records depend on besides their own files, relative to the root."""
        paths = [find_labels_folder(root) / "labels-all.json", root / SPACINGS]
        return [path.relative_to(root).as_posix() for path in paths if path.is_file()]

    def _labels(self, path: Path) -> unity_labels.LabelFile:
        state = (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else (0, 0)
        if path not in self._files or self._files[path][0] != state:
            self._files[path] = state, unity_labels.read_unity_labels(path, self.two)
        return self._files[path][1]

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout.

        A sample's id is its file's stem where it is one of the release's form; else the code is the
        sha256 of its group, and the frames of a group are counted in their order.
        """
        truths: dict[Split, dict[str, Landmarks]] = {split: {} for split in SPLITS}
        spacings: dict[str, spacing_csv.Spacing] = {}
        frames: Counter[str] = Counter()
        (root / "png-cache").mkdir(parents=True, exist_ok=True)
        for sample in samples:
            split = require_split(sample.id, sample.split)
            if not isinstance(sample.target, Landmarks):
                raise DataError(
                    f"sample {sample.id}: expected landmarks, got {type(sample.target).__name__}"
                )
            if not self._chosen:
                raise DataError(f"sample {sample.id}: expected names of landmarks, got none")
            name = frame_name(sample, frames[sample.group])
            frames[sample.group] += 1
            if any(name in part for part in truths.values()):
                raise DataError(
                    f"sample {sample.id}: expected a frame of its own, got {name} twice"
                )
            picture = root / "png-cache" / folder_of(name) / name
            picture.parent.mkdir(parents=True, exist_ok=True)
            image.write_grey(picture, sample.image)
            truths[split][name] = sample.target
            if (
                sample.mm_per_px
                and spacings.setdefault(video_of(name), sample.mm_per_px) != sample.mm_per_px
            ):
                raise DataError(
                    f"sample {sample.id}: expected one pixel size per video, got another than "
                    "before"
                )
        self._write_labels(root, truths)
        if spacings:
            spacing_csv.write_spacings(root / SPACINGS, spacings)
        return self.index(root)

    def _write_labels(self, root: Path, truths: Mapping[Split, Mapping[str, Landmarks]]) -> None:
        folder = root / "labels"
        folder.mkdir(parents=True, exist_ok=True)
        every = {name: truth for part in truths.values() for name, truth in part.items()}
        for part, own in {
            "all": every,
            **{PARTS[split]: truths[split] for split in truths},
        }.items():
            unity_labels.write_unity_labels(folder / f"labels-{part}.json", own, self._chosen)
            text = "".join(f"{name}\n" for name in own)
            write_atomically(folder / f"labels-{part}.txt", text.encode("ascii"))


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


def spellings(picture: str) -> list[str]:
    """The names that a label of this image (png-cache/01/4d/44/….png) may have."""
    group, name = (
        Path(picture).parts[-4],
        Path(picture).name.removeprefix(f"{Path(picture).parts[-4]}-"),
    )
    return [f"{group}-{name}", name]


def make_record(
    root: Path,
    split: Split,
    picture: Path,
    labels: Path,
    spacings: Mapping[str, spacing_csv.Spacing | None],
) -> Record:
    """One record; its id is its split and its file's stem, its group the video's code."""
    code = strip_class(picture.name).partition("-")[0]
    image_path, label_path = (path.relative_to(root).as_posix() for path in (picture, labels))
    return Record(
        f"{split}/{picture.stem}", code, image_path, label_path, split, mm_per_px=spacings.get(code)
    )


def strip_class(name: str) -> str:
    """A frame's name without the class; others as they are."""
    match = FRAME.fullmatch(name)
    return f"{match[2]}-{match[3]}.png" if match else name


def frame_name(sample: Sample, frame: int) -> str:
    """The file name that a sample is written under."""
    own = f"{sample.id.rpartition('/')[2]}.png"
    if FRAME.fullmatch(own):
        return own if strip_class(own) != own else f"{CLASSES[0]}-{own}"
    return f"{CLASSES[0]}-{hashlib.sha256(sample.group.encode()).hexdigest()}-{frame:04d}.png"


def folder_of(name: str) -> str:
    """Class and the first two pairs of digits, as folders."""
    group, code, _ = name.split("-")
    return f"{group}/{code[:2]}/{code[2:4]}"


def video_of(name: str) -> str:
    """Class and code: a FileHash of the table of sizes."""
    return name.rpartition("-")[0]


# ---- checks


def require_names(path: Path, wanted: Sequence[str], named: frozenset[str]) -> None:
    """DataError for a class that labels-all.json doesn't name, and for none at all."""
    lost = [name for name in wanted if name not in named]
    if lost:
        raise DataError(
            f"{path}: expected labels of {lost[0]}, found none; correct the classes or fetch the "
            "files again"
        )


def require_same_list(path: Path, labels: Path, pictures: Mapping[str, Path | None]) -> None:
    """DataError where the list beside the labels, if there is one, names others (a record without
    image may lack).
    """
    if not path.is_file():
        return
    lines = read_lines(path, "a list of image names")
    listed = {strip_class(line.strip().rpartition("/")[2]) for line in lines} - {""}
    labelled = {strip_class(name): picture for name, picture in pictures.items()}
    extra = sorted(listed - labelled.keys())
    lost = sorted(name for name, picture in labelled.items() if picture and name not in listed)
    if extra or lost:
        name, side = (extra[0], labels.name) if extra else (lost[0], path.name)
        raise DataError(
            f"{path}: expected the images of {labels.name}, got {name} missing in {side} "
            f"({len(extra)} only in the list, {len(lost)} only in the labels); fetch the labels "
            "again"
        )


def read_video_spacings(path: Path) -> dict[str, spacing_csv.Spacing | None]:
    """Code of a video → mm per px, if the user has the table.

    Its hashes may have the class in front.
    """
    if not path.is_file():
        return {}
    return {
        code.rpartition("-")[2]: spacing
        for code, spacing in spacing_csv.read_spacings(path).items()
    }
