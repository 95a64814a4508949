"""Where a model's starting weights come from; in the end they are always a file.

    weights: null                                             from scratch
    weights: imagenet                                         a word that the model's library knows
    weights: PATH                                             .safetensors, .pt or .pth
    weights: {url: https://…, sha256: 64 hex digits}          fetched once, verified
    weights: {hub: owner/name, file: model.safetensors, revision: main}
                                  of the Hugging Face hub; a commit as revision pins it

Wherever the file came from, its sha256 enters the run id and the result.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from usbench.errors import ConfigError, RunError
from usbench.io import download
from usbench.io.files import file_sha256

FORMS = "a file, {url: …, sha256: …}, or {hub: owner/name, file: …, revision: …}"
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")  # a text that ends so is a path
SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch(stated: object, folder: Path) -> str | None:
    """Turn what a configuration states into what a model is given.

    Args:
        stated: one of the forms above.
        folder: where fetched files are kept.

    Returns:
        None, a word, or the absolute path of a file.

    Raises:
        ConfigError: it is none of the forms, or the file isn't there.
        RunError: the network or the file can't be reached.
        DataError: the checksum of what arrived is another one.
    """
    match stated:
        case None:
            return None
        case str():
            return find_file_or_word(stated)
        case {"url": str(url), "sha256": str(sha256), **rest} if not rest:
            return str(fetch_url(url, sha256, folder))
        case {"hub": str(hub), "file": str(file), **rest} if rest.keys() <= {"revision"}:
            return fetch_from_hub(hub, file, str(rest.get("revision", "main")))
    raise ConfigError(f"model.build.weights={stated}: expected {FORMS}")


def find_file_or_word(text: str) -> str:
    """The absolute path of a file, or a word as it is; ConfigError for a path without a file."""
    if "://" in text:
        raise ConfigError(
            f"model.build.weights={text}: expected {FORMS}; an address needs its sha256"
        )
    path = Path(text)
    if path.is_file():
        return str(path.absolute())
    if path.suffix in SUFFIXES or path.is_absolute():
        raise ConfigError(f"model.build.weights={text}: no such file at {path.absolute()}")
    return text


def fetch_url(url: str, sha256: str, folder: Path) -> Path:
    """The file with that checksum, fetched into folder unless it is there."""
    if not SHA256.fullmatch(sha256):
        raise ConfigError(
            f"model.build.weights.sha256={sha256}: expected 64 digits, 0 to 9, a to f"
        )
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(
            f"model.build.weights.url={url}: expected an address that begins with https://"
        )
    name = f"{sha256[:12]}-{PurePosixPath(urlsplit(url).path).name or 'weights'}"
    return download.fetch(
        download.RemoteFile(
            name, "weights", url=url, sha256=sha256, override="model.build.weights=FILE"
        ),
        folder,
    )


def fetch_from_hub(hub: str, file: str, revision: str) -> str:
    """The file in the hub library's own cache, fetched unless it is there."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return str(hf_hub_download(hub, file, revision=revision))
    except HFValidationError as wrong:
        raise ConfigError(
            f"model.build.weights.hub={hub}: expected owner/name ({wrong})"
        ) from wrong
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as unreachable:
        raise RunError(
            f"{hub}/{file}@{revision}: the weights can't be fetched from the hub "
            f"({type(unreachable).__name__}); a network is needed once, or fetch the file by hand "
            "and give it as model.build.weights=FILE"
        ) from unreachable


def weights_sha256(weights: str | None) -> str | None:
    """A file's sha256; a word, or None, is itself."""
    return file_sha256(Path(weights)) if weights and Path(weights).is_file() else weights


def describe_origin(stated: object) -> object:
    """What a result says of where the weights came from: no path of this machine."""
    return Path(stated).name if isinstance(stated, str) else stated
