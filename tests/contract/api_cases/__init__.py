"""The table of requests: operation → status, code, and the request that provokes them.

A group shares one world; see `tests.contract.test_api`, which walks the table.
"""

from typing import Final

from tests.contract.api_cases import bindings, messages, people, public, subscriptions, topics
from tests.contract.api_cases._case import Case

GROUPS: Final[dict[str, tuple[Case, ...]]] = {
    "topics": topics.CASES,
    "subscriptions": subscriptions.CASES,
    "public": public.CASES,
    "messages": messages.CASES,
    "bindings": bindings.CASES,
    "people": people.CASES,
}

__all__ = ["GROUPS", "Case"]
