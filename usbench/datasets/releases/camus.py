"""CAMUS (Leclerc et al. 2019), the NIfTI release: `volumes`, with its folders in `CAMUS_public`, as
the whole collection has them, or at the root.

The lists of patients, `database_split`, were added in September 2024. Of a sequence usbench reads
the frames at the end of diastole and of systole (ED, ES). It doesn't read those between, in
`half_sequence`, most of whose masks are interpolated.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from usbench.datasets.layouts.folders import require_split, require_target
from usbench.datasets.layouts.image_files import FoundImage
from usbench.datasets.layouts.variants import refuse_variants
from usbench.datasets.layouts.volumes import Volumes
from usbench.errors import DataError
from usbench.types import Masks, Record, Sample, Target

COLLECTION = "CAMUS_public"
DATA, LISTS = "database_nifti", "database_split"
SITE = "https://humanheart-project.creatis.insa-lyon.fr/database"
FRAMES = ("2CH/ED", "2CH/ES", "4CH/ED", "4CH/ES")
READ = f"the NIfTI release, {DATA}, from {SITE}"
FIRST = "CAMUS's first release (.mhd files in training and testing, 50 patients without masks)"
TED = "TED, another release of the same authors, of full cycles"
VARIANTS = {
    "patient[0-9][0-9][0-9][0-9]": f"{DATA} itself; name the folder above it",
    "training": FIRST,
    "testing": FIRST,
    "*/patient*_info.cfg": TED,
    "*/*/patient*_info.cfg": TED,
}
OUR_SPLIT = "dataset.lists=null 'dataset.split.shares={val: 0.1, test: 0.1}'"


class Camus(Volumes):
    """See usbench.types.Layout."""

    name = "camus"
    version = 1

    # ---- reading

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        prefix = _prefix_of(root)
        return [
            replace(record, image=f"{prefix}{record.image}", label=f"{prefix}{record.label}")
            for record in super().index(root / prefix)
        ]

    def read(self, root: Path, record: Record) -> Target:
        """See usbench.types.Layout."""
        prefix = _prefix_of(root)
        inner = replace(record, image=record.image.removeprefix(prefix))
        return super().read(root / prefix, inner)

    def shared_files(self, root: Path) -> list[str]:
        """See usbench.types.Layout."""
        prefix = _prefix_of(root)
        return [f"{prefix}{name}" for name in super().shared_files(root / prefix)]

    def find_images(self, root: Path) -> list[FoundImage]:
        """See Pairs. DataError, too, for another release, and for one without its lists."""
        if not (root / DATA).is_dir():
            refuse_variants(root, VARIANTS, READ)
        lists = [root / file for file in self.files.lists.values()]
        if lists and not any(path.is_file() for path in lists):
            raise DataError(
                f"{lists[0].parent}: expected the lists of patients that are CAMUS's split, found "
                f"none: downloads from before September 2024 lack them, and so does {DATA} alone; "
                f"get {LISTS} from {SITE}, or take a split of ours: {OUR_SPLIT}"
            )
        return super().find_images(root)

    # ---- writing

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout. Ids are `patient0001/n`: views and phases take turns."""
        return super().write(root, map(self._with_frame, samples))

    def _with_frame(self, sample: Sample) -> Sample:
        """The sample with an id of its patient, view and phase; checked by its own id before."""
        require_target(sample, Masks)
        if self.files.lists:
            require_split(sample, self.files.lists)
        patient, _, number = sample.id.partition("/")
        frame = FRAMES[int(number) % len(FRAMES)] if number.isdecimal() else number
        return replace(sample, id=f"{patient}/{frame}")


def _prefix_of(root: Path) -> str:
    """Of the paths in a release that was unpacked with the collection's folder."""
    return f"{COLLECTION}/" if (root / COLLECTION).is_dir() else ""
