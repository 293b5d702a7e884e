"""What an operator can say of an SMPP link; apart from the link, whose library only links need."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from engine.adapter_settings import AdapterSettings


class SmppSettings(AdapterSettings):
    """The link."""

    url: str = Field("", description="`smpp://system_id@host:port` or `smpps://…`")
    timeout: float = Field(5, gt=0, le=600, description="seconds for a complete answer")
    smpp_password: SecretStr = Field(SecretStr(""), description="password of the bind")
    smpp_system_type: str = Field("", description="system type of the bind")
    smpp_source: str = Field(
        "",
        max_length=20,
        pattern=r"^(\+?[0-9]*|[\x20-\x7e]{1,11})$",
        description="sender: a number, a short code or a name; default: the carrier's choice",
    )
    smpp_long: Literal["udh", "payload"] = Field(
        "udh",
        description="longer texts go in parts with a header, or whole as `message_payload`",
    )
    smpp_window: int = Field(10, ge=1, le=1000, description="submits without an answer at most")
    smpp_enquire_seconds: float = Field(
        30, gt=0, le=3600, description="seconds between two signs of life of the link"
    )
    smpp_throttle_seconds: float = Field(
        2, gt=0, le=86_400, description="wait after ESME_RTHROTTLED or ESME_RMSGQFUL"
    )
    smpp_ca_file: Path | None = Field(
        None, description="certificates to trust for `smpps`; default: the system's"
    )
