import os
import stat
from pathlib import Path

import pytest

from engine import credentials
from engine.errors import ConfigurationError


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    """The file has mode 0600, whatever the umask."""
    before = os.umask(0)
    try:
        path = credentials.write(tmp_path, {"access_key": "AK"})
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert credentials.read(tmp_path) == {"access_key": "AK"}


def test_it_is_replaced_in_one_step(tmp_path: Path) -> None:
    """A reader that has the old file open keeps a whole old file; nothing else is left."""
    path = credentials.write(tmp_path, {"access_key": "old"})
    with path.open() as old:
        credentials.write(tmp_path, {"access_key": "new"})
        assert '"old"' in old.read()
    assert credentials.read(tmp_path) == {"access_key": "new"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["credentials.json"]


@pytest.mark.parametrize("content", [None, "not JSON", "[]"])
def test_a_missing_or_foreign_file_is_one_sentence(tmp_path: Path, content: str | None) -> None:
    """What is not a credentials file is a configuration error that names the path."""
    if content is not None:
        (tmp_path / "credentials.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"credentials\.json"):
        credentials.read(tmp_path)
