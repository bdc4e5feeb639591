"""Find a project's stream; what is somebody else's looks as if it weren't there."""

from __future__ import annotations

from bond_server.problems import UnknownStreamError
from bond_server.service import Service
from bond_server.streams import AnyStream


async def own(bond: Service, project: str, stream_id: str) -> AnyStream:
    """Return a stream of this project.

    Raises:
        UnknownStreamError: There is none, or it is another project's: it is not said which.
    """
    stream = await bond.look(stream_id)
    if stream is None or stream.project != project:
        raise UnknownStreamError(stream_id)
    return stream
