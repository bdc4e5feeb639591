"""How many events of a kind a window had: posts, news, chain events, anyone's own."""

from __future__ import annotations

from collections.abc import Mapping

from bond_core.windows.plan import Count, FieldPlan, Metric, Sum


class Tweets:
    """Number of posts."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plan of `tweets`."""
        return {"tweets": _number_of_events()}


class News:
    """Number of news items."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plan of `news`."""
        return {"news": _number_of_events()}


class Onchain:
    """Number of on-chain events."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plan of `onchain_count`."""
        return {"onchain_count": _number_of_events()}


class OnchainTypes:
    """Number of on-chain events by type, and what transfers moved, in the chain's own coin."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plans; a type that was not listened to is 0, as `onchain_count` is."""
        return {
            "onchain_tx": Metric({"n": Count(where="type == 'tx'")}),
            "onchain_transfers": Metric({"n": Count(where="type == 'transfer'")}),
            "onchain_blocks": Metric({"n": Count(where="type == 'block'")}),
            "onchain_accounts": Metric({"n": Count(where="type == 'account'")}),
            "onchain_moved": Metric({"sum": Sum("amount", where="type == 'transfer'")}),
        }


class Custom:
    """Number of events from sources of one's own."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plan of `custom_count`."""
        return {"custom_count": _number_of_events()}


class Liquidations:
    """Number of forced closes."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return the plan of `liquidations`."""
        return {"liquidations": _number_of_events()}


def _number_of_events() -> Metric:
    return Metric({"n": Count()})
