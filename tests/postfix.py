"""A Postfix of a test's own: its configuration, queue, log and mailboxes are in one directory.

It listens on loopback only and has no service that could send a mail on: what it takes it puts
into a Maildir. Nothing of the machine's own Postfix is used but its programs.
"""

from __future__ import annotations

import os
import shutil
import smtplib
import subprocess
import tempfile
from email.message import EmailMessage
from pathlib import Path
from typing import Final

from tests.endpoints import certificate_for
from tests.relay import parsed
from tests.servers import free_port, start_child, until

_NOBODY: Final = 65_534
_MAIN: Final = """
compatibility_level = 3.6
queue_directory = {room}/queue
data_directory = {room}/data
maillog_file = {room}/log/postfix
maillog_file_prefixes = {room}
myhostname = relay.test
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
default_transport = error:5.1.2 nothing leaves this machine
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
virtual_mailbox_domains = example.com
virtual_mailbox_maps = texthash:{room}/etc/mailboxes
virtual_mailbox_base = {room}/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
"""
# master(5): service, type, private, unprivileged, chroot, wakeup, most processes, command.
_MASTER: Final = """
127.0.0.1:{port} inet n - n - - smtpd
bounce unix - - n - 0 bounce
cleanup unix n - n - 0 cleanup
defer unix - - n - 0 bounce
error unix - - n - - error
postlog unix-dgram n - n - 1 postlogd
proxymap unix - - n - - proxymap
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
tlsmgr unix - - n 1000? 1 tlsmgr
virtual unix - n n - - virtual
"""


class Postfix:
    """A server that wants STARTTLS and delivers to the mailboxes of ``names`` at example.com."""

    def __init__(self, *names: str) -> None:
        # Not below pytest's: others than root have to get at the queue and the mailboxes.
        self._room = Path(tempfile.mkdtemp(prefix="tocsin-postfix-"))
        self._room.chmod(0o755)
        for name in ("etc", "queue", "data", "log", "mail"):
            (self._room / name).mkdir()
        os.chown(self._room / "mail", _NOBODY, _NOBODY)
        shutil.chown(self._room / "data", "postfix")
        self.port = free_port()
        self.certificate, key = certificate_for("127.0.0.1", self._room / "etc")
        values = {"room": self._room, "port": self.port, "uid": _NOBODY}
        main = _MAIN.format(**values, certificate=self.certificate, key=key)
        self._write("main.cf", main)
        self._write("master.cf", _MASTER.format(**values))
        self._write("mailboxes", "".join(f"{name}@example.com {name}/\n" for name in names))
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1

    def start(self) -> Postfix:
        """Start it and wait until it answers."""
        configuration = str(self._room / "etc")
        # It makes the directories of the queue.
        subprocess.run([_program("postfix"), "-c", configuration, "check"], check=True)
        asked = [_program("postconf"), "-h", "daemon_directory"]
        found = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
        # In a session of its own: when it is told to end it tells its process group.
        self._process, self._pipe = start_child(
            [f"{found}/master", "-c", configuration, "-d"], start_new_session=True
        )
        try:
            until(self._answers, "Postfix answers")
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End it and remove its directory."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            os.close(self._pipe)
        shutil.rmtree(self._room)

    def mails(self, name: str) -> list[EmailMessage]:
        """What lies in a mailbox, as the standard library reads it."""
        return [parsed(file.read_bytes()) for file in (self._room / "mail" / name).glob("new/*")]

    def _write(self, name: str, text: str) -> None:
        (self._room / "etc" / name).write_text(text)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError((self._room / "log/postfix").read_text())
        try:
            with smtplib.SMTP("127.0.0.1", self.port) as client:
                return client.noop()[0] == 250
        except ConnectionRefusedError:
            return False


def _program(name: str) -> str:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") or name
