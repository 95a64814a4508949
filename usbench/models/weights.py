"""Where a model's starting weights come from: a file, an address with its checksum, a hub; always a file in the end.

    weights: null                                              from scratch
    weights: imagenet                                          a word that the model's library knows
    weights: PATH                                              .safetensors, .pt or .pth
    weights: {url: https://…, sha256: 64 hex digits}           fetched once, verified
    weights: {hub: owner/name, file: model.safetensors, revision: main}    of the Hugging Face hub; revision: a commit
                                                               pins it

What was read is told by its sha256 in key and record, wherever it came from.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from usbench.datasets import archives
from usbench.datasets.archives import Archive
from usbench.errors import ConfigError, RunError

FORMS = "a file, {url: …, sha256: …}, or {hub: owner/name, file: …, revision: …}"
SUFFIXES = (
    ".safetensors",
    ".pt",
    ".pth",
    ".bin",
    ".ckpt",
)  # a text that ends so, or begins at the root, is no word
SHA256 = re.compile(r"[0-9a-f]{64}")


def fetched(stated: object, folder: Path) -> str | None:
    """What a model is given: null, a word, or the path of a file, fetched below folder if it must be.

    Raises ConfigError for what is none of the forms, RunError where the network or the file can't be had, DataError
    where what came isn't what the checksum says.
    """
    if stated is None:
        return None
    if isinstance(stated, str):
        if "://" in stated:
            raise ConfigError(
                f"model.build.weights={stated}: {FORMS} was wanted; an address needs its sha256"
            )
        path = Path(stated)
        if not path.is_file() and (path.suffix in SUFFIXES or path.is_absolute()):
            raise ConfigError(
                f"model.build.weights={stated}: a file was wanted at {path.absolute()}, found none"
            )
        return str(path.absolute()) if path.is_file() else stated
    if not isinstance(stated, Mapping) or not all(
        isinstance(value, str) for value in stated.values()
    ):
        raise ConfigError(f"model.build.weights={stated}: {FORMS} was wanted")
    if set(stated) == {"url", "sha256"}:
        return str(of_address(stated["url"], stated["sha256"], folder))
    if {"hub", "file"} <= set(stated) <= {"hub", "file", "revision"}:
        return of_hub(stated["hub"], stated["file"], stated.get("revision", "main"))
    raise ConfigError(f"model.build.weights={dict(stated)}: {FORMS} was wanted")


def of_address(url: str, sha256: str, folder: Path) -> Path:
    """The file of that checksum, fetched if it isn't there."""
    if not SHA256.fullmatch(sha256):
        raise ConfigError(
            f"model.build.weights.sha256={sha256}: 64 digits of 0–9 and a–f were wanted"
        )
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(
            f"model.build.weights.url={url}: an address that begins with https:// was wanted"
        )
    name = PurePosixPath(urlsplit(url).path).name or "weights"
    by_hand = "model.build.weights=FILE"
    archive = Archive(f"{sha256[:12]}-{name}", "weights", url=url, sha256=sha256, given=by_hand)
    return archives.fetch(archive, folder)


def of_hub(hub: str, file: str, revision: str) -> str:
    """The file in the hub library's own cache, fetched if it isn't there."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    where = f"{hub}/{file}@{revision}"
    try:
        return str(hf_hub_download(hub, file, revision=revision))
    except HFValidationError as wrong:
        raise ConfigError(
            f"model.build.weights.hub={hub}: owner/name was wanted ({wrong})"
        ) from wrong
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as unreachable:
        reason = type(unreachable).__name__
        raise RunError(
            f"{where}: the weights can't be fetched from the hub ({reason}); a network is needed once, or fetch the "
            "file by hand and give it as model.build.weights=FILE"
        ) from unreachable


def sha256_of(weights: str | None) -> str | None:
    """A file's sha256; a word is itself."""
    path = Path(weights) if weights else None
    return hashlib.sha256(path.read_bytes()).hexdigest() if path and path.is_file() else weights


def origin_of(stated: Any) -> Any:
    """What a record says of where the weights came from: no path of this machine."""
    return Path(stated).name if isinstance(stated, str) else stated
