"""What the contract has and the server has not yet: each list can only shrink.

`tests.contract.test_api` fails for a gap that is not listed and for a line without its gap.
"""

from typing import Final

NOT_SERVED: Final[set[str]] = set()
"""Operations without a row in the route table."""

NOT_DECLARED: Final[dict[str, set[str]]] = {}
"""Fields of requests and answers that no model shows, by operation."""

NOT_ANSWERED: Final[dict[str, set[str]]] = {}
"""Fields of answers that no request of the table brings about, by operation."""

NOT_YET: Final[set[str]] = set()
"""Requests of the table that are answered differently."""
