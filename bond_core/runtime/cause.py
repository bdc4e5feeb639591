"""Find what really went wrong inside a group of errors: what a task group raises says nothing."""

from __future__ import annotations


def first_cause(error: BaseException) -> BaseException:
    """Return the first error in a group of groups; what is no group comes back as it is."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
