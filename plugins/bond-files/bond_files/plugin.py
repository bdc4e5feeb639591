"""Register the sink `files`. Reading this loads neither a format's library nor any file."""

from __future__ import annotations

from collections.abc import Iterator

from bond_core.plugin import Batching, SinkSpec, hookimpl
from bond_files.config import FilesConfig


@hookimpl
def bond_sinks() -> Iterator[SinkSpec]:
    """Describe the sink."""
    yield SinkSpec(
        name="files",
        summary="Records in files: JSON lines or Parquet, rotated by size and time",
        factory="bond_files.sink:Files",
        config=FilesConfig,
        batch=Batching(records=2000, size_bytes=4 * 1024 * 1024, wait_s=1.0),
    )
