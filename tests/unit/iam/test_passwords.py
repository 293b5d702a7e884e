"""Password hashes."""

from __future__ import annotations

import pytest

from engine.errors import Refused
from engine.iam import passwords
from engine.iam.passwords import Passwords, hash_password


async def test_only_the_right_password_matches() -> None:
    """Wrong, overlong and unknown are all a plain no."""
    checker = Passwords()
    phc = hash_password("right")
    assert phc.startswith("$argon2id$")
    assert await checker.check("right", phc)
    assert not await checker.check("wrong", phc)
    assert not await checker.check("x" * 1025, phc)
    assert not await checker.check("right", None)
    checker.close()


async def test_an_unknown_user_costs_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash is computed with the same parameters although there is nobody."""
    checked: list[str] = []
    matches = passwords._matches

    def spy(text: str, phc: str) -> bool:
        checked.append(phc)
        return matches(text, phc)

    monkeypatch.setattr(passwords, "_matches", spy)
    checker = Passwords()
    await checker.check("some", None)
    checker.close()
    known = hash_password("right").split("$")
    assert checked[0].split("$")[:4] == known[:4]
    assert [len(part) for part in checked[0].split("$")] == [len(part) for part in known]


async def test_too_many_log_ins_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in hand is bounded; the rest is told to come back."""
    monkeypatch.setattr(passwords, "_WAITING", 0)
    checker = Passwords()
    with pytest.raises(Refused) as caught:
        await checker.check("some", None)
    checker.close()
    assert (caught.value.status, caught.value.retry_after) == (429, 1)
