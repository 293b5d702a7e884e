"""The error tree.

    TocsinError
    ├── Refused              the caller's fault: a contract code; nothing was changed
    ├── StoreError           Redis could not do what was asked
    │   ├── StoreUnavailable   not reachable, or the answer was lost: a write is unknown
    │   ├── StoreFull          out of memory: nothing was written
    │   └── StoreUnfit         a server, data set or durability that Tocsin must not run on
    ├── DirectoryError       what an operator asked of the directory cannot be; nothing was changed
    ├── ConfigurationError   the operator's fault: one sentence, exit status 2
    ├── KeyGone              content is encrypted with a key that is not there any more
    └── AdapterError         an adapter is missing, broken or duplicated

Errors of other libraries are translated at the wall that owns the library and are always
chained with ``from``.
"""

from __future__ import annotations

from typing import Final

# HTTP status and message of each contract code in use.
# Source: the SMN error table ("Error Codes" of the API reference), gateway table for APIGW.*.
CATALOG: Final[dict[str, tuple[int, str]]] = {
    "SMN.0001": (403, "No permission to request resources."),
    "SMN.0002": (400, "Parameter: Name is invalid."),
    "SMN.0003": (400, "Parameter: DisplayName is invalid."),
    "SMN.0004": (403, "Exceeded topic limit."),
    "SMN.0005": (400, "Parameter: TopicUrn is invalid."),
    "SMN.0006": (404, "Topic not found."),
    "SMN.0007": (403, "Exceeded subscription limit."),
    "SMN.0008": (403, "Parameter: Subject is invalid."),
    "SMN.0009": (403, "Parameter: Message is invalid."),
    "SMN.0011": (400, "Parameter: Protocol is invalid."),
    "SMN.0012": (400, "Parameter: Endpoint is invalid."),
    "SMN.0013": (404, "Subscription resource not found."),
    "SMN.0014": (400, "Parameter: SubscriptionUrn is invalid."),
    "SMN.0015": (400, "Parameter: Offset or limit is invalid."),
    "SMN.0016": (500, "Database Exceptions."),
    "SMN.0017": (400, "Parameter: Remark is invalid."),
    "SMN.0018": (500, "Service internal error."),
    "SMN.0021": (400, "MessageStructure is invalid."),
    "SMN.0022": (403, "Parameter: token is invalid."),
    "SMN.0024": (400, "Parameter: content is invalid."),
    "SMN.0025": (400, "Template already exists."),
    "SMN.0027": (404, "Template not found."),
    "SMN.0031": (400, "Parameter: template_id is invalid."),
    "SMN.0032": (400, "Parameter: message_template_name is invalid."),
    "SMN.0038": (400, "Parameter: tag is invalid."),
    "SMN.0042": (400, "Parameter: Message_template_name is invalid."),
    "SMN.0043": (400, "Parameter: subscription is invalid."),
    "SMN.0044": (400, "Exceeded template limit."),
    "SMN.0045": (404, "Attribute not found."),
    "SMN.0046": (400, "Parameter: Attribute name is invalid."),
    "SMN.0047": (403, "Parameter: Value exceeds the maximum length."),
    "SMN.0048": (400, "Parameter: Access policy is invalid."),
    "SMN.0049": (400, "Parameter: Access policy version is invalid."),
    "SMN.0050": (400, "Parameter: Access policy ID is invalid."),
    "SMN.0051": (400, "Parameter: Access policy statement is invalid."),
    "SMN.0052": (400, "Parameter: Access policy statement ID is invalid."),
    "SMN.0053": (400, "Parameter: Access policy statement resource is invalid."),
    "SMN.0054": (400, "Parameter: Access policy statement effect is invalid."),
    "SMN.0055": (400, "Parameter: Access policy statement action is invalid."),
    "SMN.0056": (400, "Parameter: Access policy statement principle is invalid."),
    "SMN.0057": (403, "The number of SMS messages exceeds the limit."),
    "SMN.0058": (400, "Parameter: Access policy statement condition is invalid."),
    "SMN.0065": (403, "The number of email messages exceeds the limit."),
    "SMN.0069": (403, "Not authorized to subscribe internal endpoints."),
    "SMN.0070": (
        403,
        "No permission to request resources. The role is op_restricted. Contact customer service.",
    ),
    "SMN.0071": (403, "No permission to request resources. The role is op_suspended."),
    "SMN.0073": (400, "Parameter: Invalid action."),
    "SMN.0075": (403, "Parameter: tags are too many."),
    "SMN.0076": (404, "Default message template not found."),
    "SMN.0077": (400, "Parameter: Status is invalid."),
    "SMN.0078": (403, "The maximum number of subscriptions has been reached."),
    "SMN.0082": (400, "The length of the remark parameter value has reached the maximum allowed."),
    "SMN.0103": (400, "The start_time parameter value is invalid."),
    "SMN.0104": (400, "The end_time parameter value is invalid."),
    "SMN.0114": (400, "The end time must be later than the start time."),
    "SMN.0115": (400, "Parameter: Application name is invalid."),
    "SMN.0116": (403, "Platform not supported."),
    "SMN.0118": (400, "Wrong Certificate."),
    "SMN.0119": (403, "PlatformPrinciple must be at most 8192 bytes long in UTF-8 encoding."),
    "SMN.0120": (403, "PlatformCredential must be at most 8192 bytes long in UTF-8 encoding."),
    "SMN.0121": (400, "An application with the same name but different properties already exists."),
    "SMN.0122": (404, "Application not found."),
    "SMN.0123": (400, "Parameter: ApplicationUrn is invalid."),
    "SMN.0124": (400, "Parameter: application attribute is invalid."),
    "SMN.0125": (404, "Endpoint does not exist."),
    "SMN.0131": (403, "The value of the Token parameter is invalid."),
    "SMN.0132": (400, "The value of the User_data parameter is invalid."),
    "SMN.0133": (400, "The device token already exists."),
    "SMN.0134": (400, "The endpoint URN is invalid."),
    "SMN.0136": (400, "The value of the enabled parameter is invalid."),
    "SMN.0165": (403, "Parameter: tenant_token is invalid."),
    "SMN.0190": (200, "This endpoint already exists."),
    "SMN.0227": (400, "The message contains sensitive words."),
    "SMN.00010008": (400, "Topic information not found."),
    "SMN.00013030": (400, "The detection task does not exist."),
    "SMN.00308": (403, "Policy doesn't allow {} to be performed."),
    "APIGW.0101": (404, "The API does not exist or has not been published in the environment."),
    "APIGW.0201": (400, "API request error."),
    "APIGW.0301": (401, "Incorrect IAM authentication information: {}"),
    "APIGW.0308": (429, "The throttling threshold has been reached: {}"),
    # Outside the contract: codes of our own begin with TOCSIN.
    "TOCSIN.0001": (409, "The Idempotency-Key was used before with another request body."),
    "TOCSIN.0002": (503, "The server is draining; send the request to another one."),
    "TOCSIN.0003": (400, "The Idempotency-Key must be 1 to 128 printable ASCII characters."),
}


class TocsinError(Exception):
    """Base of every error that Tocsin raises on purpose."""


class Refused(TocsinError):
    """A request that the contract refuses; it has changed nothing.

    ``code`` is a key of `CATALOG`; ``detail`` is a sentence for a person, appended to the
    contract's message (or put in place of its ``{}``); ``status`` overrides the catalogue's
    HTTP status where the contract lists two for one code; ``retry_after`` is in seconds.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        status: int | None = None,
        retry_after: int | None = None,
    ) -> None:
        catalogued, text = CATALOG[code]
        self.code = code
        self.status = catalogued if status is None else status
        self.retry_after = retry_after
        if "{}" in text:
            self.message = text.format(detail)
        else:
            self.message = f"{text} {detail}" if detail else text
        super().__init__(f"{code}: {self.message}")


class StoreError(TocsinError):
    """Redis could not do what was asked."""


class StoreUnavailable(StoreError):
    """Redis is not reachable or its answer was lost: whether a write happened is unknown."""


class StoreFull(StoreError):
    """Redis is out of memory and refused the command before it wrote anything."""


class StoreUnfit(StoreError):
    """The server, its settings or its data set cannot keep what Tocsin promises."""


class ConfigurationError(TocsinError):
    """The operator asked for something that cannot work; the text is one clear sentence."""


class DirectoryError(TocsinError):
    """The directory of identities cannot be changed as asked; the text is one sentence."""


class KeyGone(TocsinError):
    """Content is encrypted with a key whose material is not there (any more)."""


class AdapterError(TocsinError):
    """An adapter cannot be loaded, or two of them claim one protocol."""
