"""The settings of the connector."""

from __future__ import annotations

import attrs

from bond_core.plugin import setting

CHANNEL = "posts"
EVERY_S = 30.0


@attrs.frozen
class NitterConfig:
    """Settings of `nitter`: which instances, and whose posts about what."""

    instances: str = setting(
        default="", env="NITTER_INSTANCES", example="https://nitter.example,https://other.example",
        doc="Addresses of Nitter instances, the preferred first, with commas between",
    )  # fmt: skip
    accounts: tuple[str, ...] = setting(
        default=(), doc="Only posts of these accounts", example=["saylor"]
    )
    query: str = setting(
        default="", doc='Only posts with these words: "a phrase", #tags', example='"ETF approval"'
    )
    every_s: float = setting(default=EVERY_S, ge=10, le=3600, doc="Seconds between two polls")
