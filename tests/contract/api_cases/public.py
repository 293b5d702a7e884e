"""Versions, links of messages, certificates, and lists that belong to no project."""

from typing import Final

from tests.contract.api_cases._case import Case

_TOKEN: Final = "token={token}&topic_urn={topic_urn}"


def _open(operation: str, status: int, query: str = "", **options: str) -> Case:
    return Case(operation, status, query=query, sign=False, path=options)


CASES: Final = (
    _open("ListVersions", 200),
    _open("ListVersion", 200),
    *(
        case
        for operation in ("SubscribeTopic", "ConfirmSubscription")
        for case in (
            _open(operation, 200, _TOKEN),
            _open(operation, 400),
            _open(operation, 403, "token=00"),
            _open(operation, 403, "token={token}&topic_urn=urn:smn:region01:{project_id}:other"),
        )
    ),
    *(
        case
        for operation in ("UnsubscribeTopic", "UnsubscribeSubscription")
        for case in (
            _open(operation, 200, "subscription_urn={confirmed_urn}"),
            _open(operation, 400),
            _open(operation, 400, "subscription_urn=nonsense"),
            _open(operation, 403, "subscription_urn={confirmed_urn}&sig=00"),
            _open(operation, 404, "subscription_urn={topic_urn}:{missing}"),
        )
    ),
    *(
        case
        for operation in ("DownloadHttpCert", "DownloadHttpSignCert")
        for case in (
            _open(operation, 200),
            Case(operation, 404, "APIGW.0101", path={"certificate_id": "x.pem"}, sign=False),
        )
    ),
    Case("ListCloudServices", 200),
    Case("ListCloudService", 200),
    Case("ListProtocols", 200),
)
