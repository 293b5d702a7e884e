"""Make or update ``.venv`` with exact versions; needs Python 3.11 and the network, no more.

A fresh Debian has neither ensurepip (python3-venv) nor pip (python3-pip). Whatever is there
is used: the environment's own pip, ensurepip, the system's pip, and at last pip's wheel from
the package index, which Python runs as it is.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
import venv
from pathlib import Path
from urllib.parse import urljoin

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
ADVICE = (
    "Neither pip nor ensurepip is here and pip could not be fetched ({}). "
    "On Debian: apt-get install python3-venv python3-pip ca-certificates"
)


def works(*command: str | Path) -> bool:
    """Whether a command exists and succeeds."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def fetch_pip(folder: Path) -> Path:
    """Download the newest pip wheel for this Python, checked against the index's SHA-256."""
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    request = urllib.request.Request(index, headers=accept)  # noqa: S310 - the operator's index
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
        files = json.load(answer)["files"]
    wheels = [file for file in files if file["filename"].endswith(".whl") and not file["yanked"]]
    newest = max(wheels, key=lambda file: file["upload-time"])
    with urllib.request.urlopen(urljoin(index, newest["url"]), timeout=60) as answer:  # noqa: S310
        content = answer.read()
    if hashlib.sha256(content).hexdigest() != newest["hashes"]["sha256"]:
        raise ValueError("the download is damaged")
    wheel = folder / newest["filename"]
    wheel.write_bytes(content)
    return wheel


def give_pip(folder: Path) -> None:
    """Put pip into the environment by the first way that works."""
    if works(PYTHON, "-m", "pip", "--version") or works(PYTHON, "-m", "ensurepip"):
        return
    if works(sys.executable, "-m", "pip", "--python", PYTHON, "install", "pip"):
        return
    try:
        wheel = fetch_pip(folder)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(ADVICE.format(error))
    subprocess.run([PYTHON, wheel / "pip", "install", "--quiet", wheel], check=True)


def main() -> None:
    """Create what is missing, then install the project with its pinned dependencies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also what tests and checks need")
    options = parser.parse_args()
    if not works(PYTHON, "-c", ""):
        print(f"Making {ENVIRONMENT} with {sys.executable}", flush=True)
        venv.create(ENVIRONMENT, clear=True, symlinks=True, with_pip=False)
    with tempfile.TemporaryDirectory() as folder:
        give_pip(Path(folder))
    project = f"{ROOT}[dev]" if options.dev else str(ROOT)
    constraints = ROOT / "constraints.txt"
    command = [PYTHON, "-m", "pip", "install", "--quiet", "-c", constraints, "-e", project]
    sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
