"""Fields of each kind of plan."""

from bond_core.plugin import Count, Fold, Last, Metric, Reduce, Sum


class Fields:
    def plan(self):
        return {
            "twin_mean": Metric({"total": Sum("price"), "n": Count()}, mean),
            "twin_median": Reduce(["price"], sorted, merged, median),
            "twin_last": Metric({"price": Last("price")}),
            "twin_range": Fold(zero, add, joined, result),
        }


def mean(total, n):
    return total / n if n else None


def merged(earlier, later):
    return sorted([*earlier, *later])


def median(prices):
    return prices[len(prices) // 2]


def zero():
    return {"low": None, "high": None, "n": 0}


def add(state, event):
    return joined(state, {"low": event.price, "high": event.price, "n": 1})


def joined(a, b):
    if not a["n"] or not b["n"]:
        return dict(a if a["n"] else b)
    low, high = min(a["low"], b["low"]), max(a["high"], b["high"])
    return {"low": low, "high": high, "n": a["n"] + b["n"]}


def result(state):
    return state["high"] - state["low"] if state["n"] else None
