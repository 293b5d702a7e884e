"""The command line's door: ``tocsin …`` and ``python -m engine …``."""

from __future__ import annotations


def main() -> None:
    """Run the command line; ends the process with its exit status."""
    from engine.cli import app  # noqa: PLC0415 - importing this module must cost nothing

    app(prog_name="tocsin")


if __name__ == "__main__":
    main()
