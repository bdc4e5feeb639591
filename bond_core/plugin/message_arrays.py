"""Read frames that are arrays of messages, which a tag tells apart: as brokers of shares send."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

M = TypeVar("M")


class MessageArrays(Generic[M]):
    """Reads such frames. A message that can't be read spoils no other of its frame.

    Args:
        message: The messages there are: one tagged `msgspec.Struct`, or a union of such.
    """

    def __init__(self, message: Any) -> None:
        self._all = msgspec.json.Decoder(list[message])
        self._apart = msgspec.json.Decoder(list[msgspec.Raw])
        self._one = msgspec.json.Decoder(message)

    def read(self, frame: str | bytes, unreadable: Callable[[], None]) -> Sequence[M]:
        """Return the messages of a frame.

        Args:
            frame: What came.
            unreadable: Called for each message that can't be read.

        Raises:
            ValueError: It is no array of messages at all.
        """
        try:
            return self._all.decode(frame)
        except msgspec.ValidationError:
            messages = []
            for raw in self._apart.decode(frame):
                try:
                    messages.append(self._one.decode(raw))
                except msgspec.DecodeError:
                    unreadable()
            return messages
