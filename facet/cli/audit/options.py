"""What the commands of ``facet audit`` share: where a log, its head and its key are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facet.server.audit.chain.files import default_head, default_key
from facet.server.audit.chain.head import InvalidHead, SignedHead, read_head
from facet.server.audit.chain.keys import AuditKey, load_key
from facet.server.audit.errors import AuditKeyError
from facet.terminal import console

Folder = Annotated[Path, typer.Argument(help="The folder of the log: the setting audit.folder.", show_default=False)]
HeadFile = Annotated[
    Path | None, typer.Option("--head-file", help="The setting audit.head; by default head.json in the folder.")
]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", help="The setting audit.key_file; by default beside the folder.")
]


def need_folder(folder: Path) -> None:
    """Exit with a usage error if there is no such folder."""
    if not folder.is_dir():
        console.fail(f"there is no folder {folder}: name the one that the setting audit.folder names", console.USAGE)


def head_of(folder: Path, file: Path | None) -> SignedHead | None:
    """Read the head of a log; ``None`` if it is missing. Exits if it cannot be read."""
    path = file or default_head(folder)
    try:
        return read_head(path)
    except FileNotFoundError:
        return None
    except InvalidHead as error:
        console.fail(str(error))
    except OSError as error:
        console.fail(f"cannot read {path}: {error.strerror}")


def key_of(folder: Path, file: Path | None) -> AuditKey | None:
    """Read the audit key; ``None`` if there is none beside the folder. Exits if it cannot be read."""
    path = file or default_key(folder)
    try:
        return load_key(path)
    except FileNotFoundError:
        if file is not None:
            console.fail(f"there is no file {file}", console.USAGE)
        return None
    except AuditKeyError as error:
        console.fail(str(error))
