"""A stream as it is kept: what it takes to run it again, here or in another process."""

from __future__ import annotations

from typing import Any

import attrs

from bond_core.plugin.catalog import Catalog
from bond_core.runtime.binding import Defaults, bind
from bond_core.spec.canonical import spec_as_json
from bond_core.spec.read import read_spec
from bond_core.spec.stream_spec import StreamOptions
from bond_server.compiling import Compiled

_MS = 1_000_000


@attrs.frozen(kw_only=True)
class Row:
    """One stream.

    Attributes:
        stream_id: Its id; it keeps it, even if the same request would give another one today.
        project: Whose it is.
        spec: As users write it, all defaults resolved.
        created_ns: When, in ns since 1970. A stream made again after a deletion has another.
        ends_ns: When it is complete; None for never.
        is_ephemeral: Whether it goes by itself after its last client.
        is_complete: Whether it has come to its end.
        label: What its owner calls it.
        assumed: What was decided for the user.
        warnings: What the user should know.
    """

    stream_id: str
    project: str
    spec: dict[str, Any]
    created_ns: int
    ends_ns: int | None = None
    is_ephemeral: bool = False
    is_complete: bool = False
    label: str | None = None
    assumed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def asked_again(self, options: StreamOptions) -> Row:
        """Stay, and stay as long, as the most lasting of its requests says."""
        ends_ns = None
        if self.ends_ns is not None and options.duration_ms is not None:
            ends_ns = max(self.ends_ns, self.created_ns + options.duration_ms * _MS)
        return attrs.evolve(
            self, is_ephemeral=self.is_ephemeral and options.ephemeral, ends_ns=ends_ns
        )


def new_row(stream_id: str, project: str, compiled: Compiled, now_ns: int) -> Row:
    """Return what is kept of a stream that begins now."""
    options = compiled.options
    duration_ms = options.duration_ms
    return Row(
        stream_id=stream_id,
        project=project,
        spec=spec_as_json(compiled.spec),
        created_ns=now_ns,
        ends_ns=None if duration_ms is None else now_ns + duration_ms * _MS,
        is_ephemeral=options.ephemeral,
        label=options.label,
        assumed=compiled.assumed,
        warnings=compiled.warnings,
    )


def compiled_again(row: Row, catalog: Catalog, defaults: Defaults) -> Compiled:
    """Return what a kept stream means here and now.

    Raises:
        BondError: It can't be had any more: a plugin is gone, say.
    """
    spec, _ = read_spec(row.spec)
    return Compiled(
        bound=bind(spec, catalog, defaults),
        options=StreamOptions(ephemeral=row.is_ephemeral, label=row.label),
        understanding=None,
        assumed=row.assumed,
        warnings=row.warnings,
    )
