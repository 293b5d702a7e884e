"""Any text is refused when it is published, with its code, or reaches everybody as it is.

Through everything that is real: the API, what the engine accepts, templates, adapters, and for
each protocol a server that reads what arrives by its own rules.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
from hypothesis import strategies as st

from engine.app import Engine
from engine.errors import Refused
from engine.guard import AddressGuard
from engine.settings import Settings
from engine.testing import hostile
from engine.transport import AiohttpTransport
from tests.api_client import Client, serving
from tests.engines import all_ended, open_engine, working
from tests.everywhere import Everywhere, Sent
from tests.servers import RedisServer
from tests.virtual_time import virtual_runner
from tests.worlds import changed, dump

TEXTS: Final = (
    *hostile.TEXTS,
    *("\ud800", "a\udc00b", "\ud83d \ude00", "\x00", "\x85", "\u2028", "\u2029", "\u202etxt.exe"),
    *("{a}", "{b}{a}", "{{a}}", "{A}}", "$a ${b} %(c)s", "\r", "\n.\n", ".", "From x\n>From y"),
    *("<b>&amp;&lt;</b><!-- ]]> -->", "*_`~[x](y)", "=?utf-8?b?eA==?="),
    *("@" * 170, "é" * 170, "🙂" * 71, "^" * 150),
)
LONG: Final = ("x" * 20_000, "中" * 20_000, "🙂 " * 10_000, "\x01" * 60_000, "a\r\n" * 20_000)
NAMES: Final = ("a", "b", "c.d-e_f", "A" * 21)
VARIABLE: Final = re.compile(r"\{[A-Za-z0-9][A-Za-z0-9_.-]{0,20}\}", re.ASCII)
NO_LINE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
HALF: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Publication:
    """What a publisher says.

    ``body`` is as in a request; ``sent`` is what readers are to get, and ``codes`` are those of
    all that is wrong with it, one of which it must be refused with. ``template`` is what the
    template of that name says.
    """

    body: Mapping[str, Any]
    sent: Sent
    codes: frozenset[str]
    template: str | None = None


def publication(
    body: Mapping[str, Any], subject: str, texts: Mapping[str, str], *codes: str
) -> Publication:
    """One with these texts; ``codes`` are for what may be wrong with them."""
    faults: set[str] = set()
    if not is_line(subject, 512):
        faults.add("SMN.0008")
    if not texts["default"] or any(map(HALF.search, texts.values())):
        faults.update(codes)
    return Publication({"subject": subject, **body}, Sent(subject, texts), frozenset(faults))


def is_line(text: str, most: int) -> bool:
    """Whether it is text on one line, of so many bytes at most."""
    return not HALF.search(text) and not NO_LINE.search(text) and len(text.encode()) <= most


def of_message(subject: str, text: str) -> Publication:
    """The same for all."""
    return publication({"message": text}, subject, {"default": text}, "SMN.0009")


def of_structure(
    subject: str, text: str, others: Mapping[str, str], bots: str, *, quoted: bool
) -> Publication:
    """Texts for some protocols, and an object for a bot, which may be quoted itself."""
    given: dict[str, Any] = {"default": text, **others}
    texts = {"default": text, **{name: other for name, other in others.items() if other}}
    if bots:
        rich = {"msgType": "markdown", "content": bots}
        given["dingding"], texts["dingding"] = json.dumps(rich) if quoted else rich, bots
    body = {"message_structure": json.dumps(given)}
    return publication(body, subject, texts, "SMN.0021", "SMN.0009")


def of_template(
    subject: str, pieces: Sequence[tuple[str, bool]], tags: Mapping[str, str]
) -> Publication:
    """A template of texts and names of variables, and the variables' values."""
    text = "".join(tags.get(piece, "") if named else piece for piece, named in pieces)
    body = {"message_template_name": "any", "tags": tags}
    made = publication(body, subject, {"default": text}, "SMN.0009")
    template = "".join(f"{{{piece}}}" if named else piece for piece, named in pieces)
    bad = any(HALF.search(value) or len(value.encode()) > 1024 for value in tags.values())
    return replace(made, template=template, codes=made.codes | {"SMN.0038"} if bad else made.codes)


@dataclass
class Scene:
    """An engine with its API, a topic, and everybody who reads it."""

    engine: Engine
    client: Client
    everywhere: Everywhere
    topic: str
    template: str

    async def hold(self, said: Publication, name: str, *, by_api: bool, escaped: bool) -> None:
        """It is refused with its code and changes nothing, or reaches all who can be reached."""
        await asyncio.sleep(1)  # a changed topic is told by the time of its change
        await self._rename(name)
        if said.template is not None and not await self._templated(said.template):
            return
        sent = replace(said.sent, name=(await self.engine.topics.get(self.topic)).display_name)
        before = await dump(self.engine.store)
        if by_api:
            refused, codes = await self._ask(said, escaped=escaped)
        else:
            refused, codes = await self._call(said), said.codes
        assert (refused in codes) if codes else not refused, f"{refused or 'accepted'}, not {codes}"
        if refused:
            after = await dump(self.engine.store)
            # What an earlier message has left of its rates goes in its own time.
            assert not [
                key for key in changed(before, after) if ":limit:" not in key or key in after
            ]
        else:
            async with working(self.engine):
                await all_ended(self.engine, pause=1.0)
        arrived = [(reader, reader.take()) for reader in self.everywhere.readers]
        for reader, arrivals in arrived:
            expected = not refused and reader.admits(sent)
            assert len(arrivals) == expected, f"{reader.protocol}: {arrivals}"
            for arrival in arrivals:
                reader.read(sent, arrival)

    async def _rename(self, name: str) -> None:
        """Give the topic a display name, if it can be one."""
        with nullcontext() if is_line(name, 192) else pytest.raises(Refused, match=r"SMN\.0003"):
            await self.engine.topics.update(self.topic, display_name=name)

    async def _templated(self, content: str) -> bool:
        """Make it the template's content, if it can be one."""
        project, good = self.client.account.project_id, bool(content) and not HALF.search(content)
        with nullcontext() if good else pytest.raises(Refused, match=r"SMN\.0024"):
            await self.engine.templates.update(project, self.template, content)
        return good

    async def _ask(self, said: Publication, *, escaped: bool) -> tuple[str, frozenset[str]]:
        """Publish over the API: the code of the refusal or '', and the codes that it may have."""
        text = json.dumps(said.body, ensure_ascii=False)
        raw = (json.dumps(said.body) if escaped else text).encode("utf-8", "surrogatepass")
        # The signature's time is the engine's, which runs ahead of ours.
        now = dt.datetime.fromtimestamp(self.engine.clock.now_ms() // 1000, dt.UTC)
        target = f"/v2/{self.client.account.project_id}/notifications/topics/{self.topic}/publish"
        headers = {"X-Sdk-Date": f"{now:%Y%m%dT%H%M%SZ}"}
        answer = await self.client.call("POST", target, raw, headers=headers)
        # JSON that holds half a pair is no JSON, whatever else is wrong.
        codes = frozenset({"APIGW.0201"}) if HALF.search(text) else said.codes
        return ("" if answer.status == 200 else str(answer.json["code"])), codes

    async def _call(self, said: Publication) -> str:
        """Publish from a program: the code of the refusal, or ''."""
        try:
            await self.engine.publish(
                self.topic,
                said.body.get("message", ""),
                subject=said.body["subject"],
                structure=said.body.get("message_structure"),
                template=said.body.get("message_template_name"),
                tags=said.body.get("tags"),
            )
        except Refused as refused:
            return refused.code
        return ""


@dataclass
class Stage:
    """A scene, and who runs it: in virtual time, since bots want pauses between messages."""

    runner: asyncio.Runner
    scene: Scene

    def hold(self, said: Publication, name: str = "", *, by_api: bool, escaped: bool) -> None:
        """As the scene's."""
        self.runner.run(self.scene.hold(said, name, by_api=by_api, escaped=escaped))

    def hold_any(self, examples: int) -> None:
        """Of so many publications; always the same ones."""

        @hypothesis.settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(publications, any_text(64), st.booleans(), st.booleans())
        def holds(said: Publication, name: str, by_api: bool, escaped: bool) -> None:
            hypothesis.note(f"{said} {name!r} {by_api=} {escaped=}")
            self.hold(said, name, by_api=by_api, escaped=escaped)

        holds()


@pytest.fixture
def stage(valkey: RedisServer, tmp_path: Path, settings: Settings) -> Iterator[Stage]:
    """A topic that somebody reads with every protocol there is."""
    valkey.flush()
    with virtual_runner() as runner:
        stack = AsyncExitStack()
        try:
            yield Stage(runner, runner.run(_scene(stack, valkey.url, tmp_path, settings)))
        finally:
            runner.run(stack.aclose())


async def _scene(stack: AsyncExitStack, url: str, data: Path, settings: Settings) -> Scene:
    engines: list[Engine] = []

    def now_ms() -> int:
        return engines[0].clock.now_ms()

    everywhere = Everywhere(stack, now_ms, data)
    await everywhere.start()
    transport = AiohttpTransport(AddressGuard("127.0.0.0/8"), tls=everywhere.trust)
    stack.push_async_callback(transport.close)
    engine = await stack.enter_async_context(
        open_engine(url, data, transport, tables=everywhere.tables, shards=1)
    )
    engines.append(engine)
    account = await engine.accounts.bootstrap()
    client, _ = await stack.enter_async_context(serving(engine, settings, account))
    topic = (await engine.create_topic("everybody")).urn
    await everywhere.subscribe(engine, topic)
    assert {one.protocol for one in everywhere.readers} == set(engine.adapters)
    template = await engine.templates.create(account.project_id, "any", "default", "x")
    return Scene(engine, client, everywhere, topic, template)


def any_text(most: int) -> st.SearchStrategy[str]:
    """Of any characters, also without half surrogate pairs; often one that breaks things."""
    return st.one_of(
        st.sampled_from([text[:most] for text in TEXTS]),
        st.text(max_size=most),
        st.text(st.characters(exclude_categories=[]), max_size=most),
    )


def no_variables(text: str) -> str:
    """With a blank in each brace that would begin one."""
    return VARIABLE.sub(lambda found: f"{{ {found[0][1:]}", text)


pieces = st.tuples(any_text(100).map(no_variables), st.just(value=False)) | st.tuples(
    st.sampled_from(NAMES), st.just(value=True)
)
subjects = st.just("") | any_text(300)
publications = st.one_of(
    st.builds(of_message, subjects, any_text(1_500)),
    st.builds(
        of_structure,
        subjects,
        any_text(300),
        st.dictionaries(st.sampled_from(["email", "sms", "http", "feishu"]), any_text(300)),
        st.just("") | any_text(300),
        quoted=st.booleans(),
    ),
    st.builds(
        of_template,
        subjects,
        st.lists(pieces, max_size=6),
        st.dictionaries(st.sampled_from(NAMES), any_text(600)),
    ),
)


def test_any_text_is_refused_or_arrives_as_it_is(stage: Stage) -> None:
    """Subject, message, structure, values of a template's tags, and the topic's display name."""
    stage.hold_any(200)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_any_of_many_texts_is_refused_or_arrives_as_it_is(stage: Stage) -> None:
    """As above."""
    stage.hold_any(3_000)


def test_a_text_that_breaks_things_is_refused_or_arrives_as_it_is(stage: Stage) -> None:
    """Each of those that are known to, everywhere, and long ones where there is room."""
    for number, text in enumerate(TEXTS):
        for said in (
            of_message(text, text),
            of_template(text, [("a", True), ("{ }", False), ("b", True)], {"a": text}),
            of_structure("", text, {"email": text}, text, quoted=number % 4 < 2),
        ):
            stage.hold(said, text, by_api=number % 2 == 0, escaped=number % 4 < 2)
    for text in LONG:
        stage.hold(of_message("", text), by_api=True, escaped=False)
