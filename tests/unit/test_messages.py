"""A message is stored once and read by many: what is encoded is what is decoded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import StoreError
from engine.models import Kind, Message
from engine.store import messages
from engine.store.messages import Reference

_ID = st.binary(min_size=16, max_size=16).map(bytes.hex)
_TEXT = st.text(st.characters(codec="utf-8"))
_MESSAGES = st.builds(
    Message,
    id=_ID,
    topic_id=_ID,
    topic_urn=_TEXT,
    project_id=_ID,
    kind=st.sampled_from(Kind),
    content=st.dictionaries(_TEXT, _TEXT, max_size=3),
    created_ms=st.integers(0, 2**53),
    deadline_ms=st.integers(0, 2**53),
    subject=st.none() | _TEXT,
    attributes=st.lists(st.dictionaries(_TEXT, _TEXT, max_size=2), max_size=2).map(tuple),
    link=st.none() | _TEXT,
    locale=_TEXT,
    topic_name=_TEXT,
    display_name=_TEXT,
    recipient=st.none() | _TEXT,
)
_PAGE = st.integers(0, 10**6)
_REFERENCES = st.one_of(
    st.tuples(_ID, _ID, _PAGE).map(lambda parts: Reference(*parts)),
    st.tuples(_ID, _ID, _PAGE, st.integers(0, 255), _ID).map(lambda parts: Reference(*parts)),
)


@given(_MESSAGES)
def test_a_message_is_read_as_it_was_stored(message: Message) -> None:
    """Every field, whatever the text; the ids come from where it is kept."""
    stored = messages.encode(message)
    assert messages.decode(message.id, message.topic_id, stored) == message


def test_another_version_is_refused() -> None:
    """A message that another program stored is not misread."""
    with pytest.raises(StoreError, match="version 9"):
        messages.decode("m", "t", b"[9]")


@given(_REFERENCES)
def test_a_reference_is_read_as_it_was_written(reference: Reference) -> None:
    """In lanes and retry sets, addressed or not."""
    assert Reference.decode(reference.encode().encode()) == reference


@given(_REFERENCES)
def test_a_lane_entry_is_small(reference: Reference) -> None:
    """References are what streams hold, not messages."""
    assert len(reference.encode()) <= 110


@pytest.mark.parametrize("text", [b"", b"a:b", b"a:b:c", b"a:b:1:2", b"a:b:1:x:d", b"\xff:b:1"])
def test_an_unreadable_reference_is_refused(text: bytes) -> None:
    """With the text that was found."""
    with pytest.raises(StoreError, match="unreadable"):
        Reference.decode(text)
