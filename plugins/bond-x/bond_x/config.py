"""The settings of the connector."""

from __future__ import annotations

import attrs

from bond_core.plugin import Secret, setting

CHANNEL = "posts"


@attrs.frozen
class XConfig:
    """Settings of `x`: whose posts about what, and how they are asked for."""

    bearer: Secret = setting(doc="Bearer token of an app at X", env="X_BEARER")
    accounts: tuple[str, ...] = setting(
        default=(), doc="Only posts of these accounts", example=["saylor"]
    )
    query: str = setting(
        default="", doc='Only posts with these words: "a phrase", #tags', example='"ETF approval"'
    )
    mode: str = setting(
        default="auto", choices=("auto", "stream", "search"), env="X_MODE",
        doc="How posts are asked for; auto is by stream, or by search where the plan has none",
    )  # fmt: skip
    every_s: float = setting(
        default=60.0, ge=5, le=3600, doc="Seconds between two searches, where it searches"
    )
    backfill_minutes: str = setting(
        default="", choices=("", "1", "2", "3", "4", "5"), env="X_BACKFILL_MINUTES", advanced=True,
        doc="Minutes of posts that X sends again after a drop; only some plans have it",
    )  # fmt: skip
