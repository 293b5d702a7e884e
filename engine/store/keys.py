"""The names of all keys: the only module with a key literal.

Everything on the data path of a topic carries the hash tag of the topic's shard, ``{n}``, so
that each script touches one slot. A topic's shard follows from its project and name, and its
id is made to tell the same shard (`Keys.new_topic_id`): the URN leads to the record, the id in
a token or a lane entry does too.

    {n}:names               hash    project:name → topic id
    {n}:topic:T             hash    a topic's record, or a home's; ``gone`` is its tombstone
    {n}:cards:R             hash    what lists search of a project's topics: id → JSON; ``v``
    {n}:tags:K:R            hash    tags of its resources of a kind: id → JSON, if any; ``v``
    {n}:versions:R          hash    pages of its topics: T:P:N → JSON (token, seated); ``v``
    {n}:subs:T              hash    subscription id → protocol:page:seat
    {n}:ends:T              hash    keyed hash of protocol and endpoint → subscription id
    {n}:order:T             zset    subscription ids by time of creation
    {n}:free:T:P            zset    free seats ``page:seat`` by page
    {n}:page:T:P:N          hash    seat → subscription; ``v`` is the version token
    {n}:msg:M               hash    a message: ``b`` content, ``s`` sequence, ``l`` pages left
    {n}:ledger:M            hash    protocol:page → row; ``!`` before it: dead letters
    {n}:idem:T:H            string  an idempotency key in use
    {n}:code:T:S            string  hash of the code that confirms a subscription; expires
    {n}:detect:T:K          string  what the probe of a task has found; expires
    {n}:recent              zset    ids of messages accepted in the last seconds
    {n}:inbox:P             list    ids of topics with a backlog
    {n}:backlog:P           hash    their queues of cursors
    {n}:lane:P              stream  batches
    {n}:retry:P             zset    batches by due time
    {n}:dead:T              zset    pages with dead letters by time
    {n}:deads               set     topics with dead letters
    {n}:log, {n}:log:size   stream  the delivery log; its bytes and what was dropped
    {n}:counts:T:B          hash    counters of one topic in one 5-minute bucket
    {n}:gauges              hash    numbers of the shard: unfinished messages
    {n}:pending             hash    changes that project indexes still have to see
    {n}:purge               set     deleted topics that are still being removed
    {n}:fails:E, {n}:parked         failed attempts of an endpoint; parked endpoints
    {n}:limit:L             hash    one limit's buckets and windows
    account                 hash    the account: ids, names, key, encrypted secrets
    token:H                 string  an issued token; expires
    tempkey:A               string  a temporary access key; expires
    passcode:U:S            string  a user's passcode of a step has been used; expires
    {iam}:records           hash    the directory: kind:id → record; ``version``
    {iam}:changes           list    which of them changed last
    {p:PROJECT}:topics      zset    a project's topics by time of creation
    {p:PROJECT}:subs        zset    a project's subscriptions by time of creation
    {p:PROJECT}:audit       stream  a project's recorded operations
    {p:PROJECT}:logtanks    set     topics of a project that have, or had, a logtank
    {p:PROJECT}:templates   hash    template id → what a list shows of it
    {p:PROJECT}:template:N  hash    protocol → content of the templates of a name
    {p:PROJECT}:apps        zset    a project's applications, ``platform:name``, by creation
    {p:PROJECT}:app:P:N     hash    an application
    {p:PROJECT}:devices:A   zset    an application's endpoints by list, each by creation
    {p:PROJECT}:device:A    hash    endpoint id → endpoint
    {p:PROJECT}:tokens:A    hash    keyed hash of a device token → endpoint id
"""

from __future__ import annotations

import secrets
from binascii import crc32
from typing import Final

GROUP: Final = "workers"
"""The consumer group of all lanes."""


class Keys:
    """Names keys under one prefix for one number of shards."""

    __slots__ = ("_tags", "prefix", "shards")

    def __init__(self, prefix: str, shards: int) -> None:
        self.prefix = prefix
        self.shards = shards
        self._tags = tuple(f"{prefix}{{{number}}}:" for number in range(shards))

    # Shards

    def shard_of_name(self, project_id: str, name: str) -> int:
        """The shard of the topic with this name."""
        return crc32(f"{project_id}:{name}".encode()) % self.shards

    def shard_of_topic(self, topic_id: str) -> int:
        """The shard of the topic with this id."""
        return int(topic_id[:2], 16) % self.shards

    def shard_of_hash(self, digest: str) -> int:
        """The shard of anything known by a hex digest, such as an endpoint."""
        return int(digest[:8], 16) % self.shards

    def new_topic_id(self, shard: int) -> str:
        """A fresh id, 32 hex digits, that `shard_of_topic` maps to the shard."""
        lead = shard + self.shards * secrets.randbelow(
            (256 - shard + self.shards - 1) // self.shards
        )
        return f"{lead:02x}{secrets.token_hex(15)}"

    def shard(self, number: int) -> str:
        """A key of the shard, for routing only."""
        return self._tags[number]

    # One for all

    def dataset(self) -> str:
        """The data set's own record."""
        return f"{self.prefix}dataset"

    def outbox(self) -> str:
        """The outbox stream."""
        return f"{self.prefix}outbox"

    def events(self) -> str:
        """What happened to the service, for operators: a capped stream."""
        return f"{self.prefix}events"

    def workers(self) -> str:
        """Live workers by the time they were last seen."""
        return f"{self.prefix}workers"

    def account(self) -> str:
        """The data set's account."""
        return f"{self.prefix}account"

    def token(self, digest: str) -> str:
        """An issued token, by its hash."""
        return f"{self.prefix}token:{digest}"

    def temporary_key(self, access_key: str) -> str:
        """A temporary access key."""
        return f"{self.prefix}tempkey:{access_key}"

    def passcode(self, user_id: str, step: int) -> str:
        """That a user has used the passcode of a step."""
        return f"{self.prefix}passcode:{user_id}:{step}"

    def directory(self) -> str:
        """Domains, projects, users and what they may do."""
        return f"{self.prefix}{{iam}}:records"

    def directory_changes(self) -> str:
        """The directory's last changes."""
        return f"{self.prefix}{{iam}}:changes"

    # Per project

    def project_topics(self, project_id: str) -> str:
        """A project's topics by creation."""
        return f"{self.prefix}{{p:{project_id}}}:topics"

    def project_subscriptions(self, project_id: str) -> str:
        """A project's subscriptions by creation."""
        return f"{self.prefix}{{p:{project_id}}}:subs"

    def project_audit(self, project_id: str) -> str:
        """A project's recorded operations."""
        return f"{self.prefix}{{p:{project_id}}}:audit"

    def project_logtanks(self, project_id: str) -> str:
        """A project's topics among which are all that have a logtank."""
        return f"{self.prefix}{{p:{project_id}}}:logtanks"

    def project_templates(self, project_id: str) -> str:
        """A project's message templates."""
        return f"{self.prefix}{{p:{project_id}}}:templates"

    def project_template(self, project_id: str, name: str) -> str:
        """The contents of a project's templates of one name."""
        return f"{self.prefix}{{p:{project_id}}}:template:{name}"

    def project_applications(self, project_id: str) -> str:
        """A project's applications by creation."""
        return f"{self.prefix}{{p:{project_id}}}:apps"

    def project_application(self, project_id: str, platform: str, name: str) -> str:
        """An application."""
        return f"{self.prefix}{{p:{project_id}}}:app:{platform}:{name}"

    def project_devices(self, project_id: str, application_id: str) -> str:
        """An application's endpoints by list."""
        return f"{self.prefix}{{p:{project_id}}}:devices:{application_id}"

    def project_device(self, project_id: str, application_id: str) -> str:
        """An application's endpoints by id."""
        return f"{self.prefix}{{p:{project_id}}}:device:{application_id}"

    def project_tokens(self, project_id: str, application_id: str) -> str:
        """Ids of an application's endpoints by token."""
        return f"{self.prefix}{{p:{project_id}}}:tokens:{application_id}"

    # Per shard

    def names(self, shard: int) -> str:
        """Topic names of the shard."""
        return f"{self._tags[shard]}names"

    def recent(self, shard: int) -> str:
        """Ids of messages accepted lately."""
        return f"{self._tags[shard]}recent"

    def inbox(self, shard: int, protocol: str) -> str:
        """Topics with a backlog for a protocol."""
        return f"{self._tags[shard]}inbox:{protocol}"

    def backlog(self, shard: int, protocol: str) -> str:
        """Cursors of the topics in the inbox."""
        return f"{self._tags[shard]}backlog:{protocol}"

    def lane(self, shard: int, protocol: str) -> str:
        """Batches of a protocol."""
        return f"{self._tags[shard]}lane:{protocol}"

    def retry(self, shard: int, protocol: str) -> str:
        """Batches of a protocol that wait for a due time."""
        return f"{self._tags[shard]}retry:{protocol}"

    def log(self, shard: int) -> str:
        """The delivery log."""
        return f"{self._tags[shard]}log"

    def log_size(self, shard: int) -> str:
        """Bytes and drops of the delivery log."""
        return f"{self._tags[shard]}log:size"

    def gauges(self, shard: int) -> str:
        """Numbers of the shard."""
        return f"{self._tags[shard]}gauges"

    def pending(self, shard: int) -> str:
        """Index changes not yet applied."""
        return f"{self._tags[shard]}pending"

    def purge(self, shard: int) -> str:
        """Deleted topics to remove."""
        return f"{self._tags[shard]}purge"

    def deads(self, shard: int) -> str:
        """Topics with dead letters."""
        return f"{self._tags[shard]}deads"

    def parked(self, shard: int) -> str:
        """Parked endpoints by the time they may be probed."""
        return f"{self._tags[shard]}parked"

    def fails(self, digest: str) -> str:
        """Failed attempts of an endpoint in its window."""
        return f"{self._tags[self.shard_of_hash(digest)]}fails:{digest}"

    def limit(self, digest: str) -> str:
        """State of one limit."""
        return f"{self._tags[self.shard_of_hash(digest)]}limit:{digest}"

    # Per shard and project

    def cards(self, shard: int, project_id: str) -> str:
        """What lists search of a project's topics."""
        return f"{self._tags[shard]}cards:{project_id}"

    def tags(self, shard: int, kind: str, project_id: str) -> str:
        """Tags of a project's resources of one kind."""
        return f"{self._tags[shard]}tags:{kind}:{project_id}"

    def versions(self, shard: int, project_id: str) -> str:
        """Version tokens of the pages of a project's topics."""
        return f"{self._tags[shard]}versions:{project_id}"

    # Per topic

    def topic(self, topic_id: str) -> str:
        """A topic's record."""
        return f"{self._tag(topic_id)}topic:{topic_id}"

    def subscriptions(self, topic_id: str) -> str:
        """Where a topic's subscriptions sit."""
        return f"{self._tag(topic_id)}subs:{topic_id}"

    def endpoints(self, topic_id: str) -> str:
        """A topic's subscriptions by protocol and endpoint."""
        return f"{self._tag(topic_id)}ends:{topic_id}"

    def order(self, topic_id: str) -> str:
        """A topic's subscriptions by creation."""
        return f"{self._tag(topic_id)}order:{topic_id}"

    def free(self, topic_id: str, protocol: str) -> str:
        """Free seats."""
        return f"{self._tag(topic_id)}free:{topic_id}:{protocol}"

    def page(self, topic_id: str, protocol: str, number: int) -> str:
        """A page of subscriptions."""
        return f"{self._tag(topic_id)}page:{topic_id}:{protocol}:{number}"

    def dead(self, topic_id: str) -> str:
        """Pages with dead letters."""
        return f"{self._tag(topic_id)}dead:{topic_id}"

    def idempotency(self, topic_id: str, digest: str) -> str:
        """An idempotency key in use."""
        return f"{self._tag(topic_id)}idem:{topic_id}:{digest}"

    def code(self, topic_id: str, subscription_id: str) -> str:
        """The code that confirms a subscription."""
        return f"{self._tag(topic_id)}code:{topic_id}:{subscription_id}"

    def detection(self, topic_id: str, task_id: str) -> str:
        """What a probe has found."""
        return f"{self._tag(topic_id)}detect:{topic_id}:{task_id}"

    def counts(self, topic_id: str, bucket: int) -> str:
        """Counters of a 5-minute bucket; ``bucket`` is its start in seconds."""
        return f"{self._tag(topic_id)}counts:{topic_id}:{bucket}"

    # Per message: in the shard of its topic

    def message(self, topic_id: str, message_id: str) -> str:
        """A stored message."""
        return f"{self._tag(topic_id)}msg:{message_id}"

    def ledger(self, topic_id: str, message_id: str) -> str:
        """What became of a message's deliveries."""
        return f"{self._tag(topic_id)}ledger:{message_id}"

    def _tag(self, topic_id: str) -> str:
        return self._tags[self.shard_of_topic(topic_id)]
