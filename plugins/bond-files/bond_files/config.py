"""The settings of the sink `files`."""

from __future__ import annotations

from typing import Literal

import attrs

from bond_core.plugin import setting


@attrs.frozen(kw_only=True)
class FilesConfig:
    """Which folder, which format, and when a file is whole."""

    folder: str = setting(doc="Where files go; made if it isn't there", example="records")
    format: Literal["jsonl", "parquet"] = setting(
        default="jsonl", doc="A JSON object a line, or Parquet (needs bond-files[parquet])"
    )
    rotate_bytes: int = setting(
        default=64 * 1024 * 1024, ge=1, doc="A file is whole at so many bytes of records"
    )
    rotate_s: float = setting(default=3600.0, ge=1.0, doc="And after so many seconds")
