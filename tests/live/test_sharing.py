"""Parts that pages share: which can be shared, and that every page shows what it would render by itself."""

from __future__ import annotations

import copy
import itertools
import json
import random
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import django
import pytest
from django.http import HttpRequest
from django.template import Engine
from django.template.context import make_context
from django.test import RequestFactory, override_settings
from django.urls import path
from django.utils import timezone, translation
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy, pgettext_lazy
from django.views.generic import TemplateView
from hypothesis import HealthCheck, given
from hypothesis import settings as exploring
from hypothesis import strategies as st
from pytest_django import Settings

from djust_presence.checks.views import check_shared_parts
from djust_presence.live import LiveView
from djust_presence.live.memo import MAX_KEPT, Memo
from djust_presence.live.nodes import read
from djust_presence.mixins import PresenceMixin

from . import othertags, sharedtags
from .conftest import live
from .test_consumer import started

LIBRARIES = {
    "sharedtags": "tests.live.sharedtags",
    "othertags": "tests.live.othertags",
    **{name: f"django.templatetags.{name}" for name in ("i18n", "l10n", "tz", "static", "cache")},
}
OURS = "djust_presence.templatetags.djust_presence"
TEMPLATES = {
    "included": "<{{ a }}{{ x }}{% for a in b %}{{ forloop.counter }}{{ a }}{% endfor %}>",
    "asks": "{{ request.path }}",
    "asking": "{{ value }}{{ csrf_token }}",
    "shown": "({{ value }}{{ a }})",
    "tree": "{{ a }}{% for a in b %}{% if forloop.first %}{% include 'leaf' %}{% endif %}{% endfor %}",
    "leaf": "leaf {{ a }}",
    "self": "{{ a }}{% if more %}{% include 'self' with more=False %}{% endif %}",
    "base": "{% block top %}top {{ a }}{% endblock %}|{% with a=b %}{% block main %}{{ a }}{% endblock %}{% endwith %}",
    "middle": "{% extends 'base' %}{% block main %}mid {{ block.super }}{{ c }}{% endblock %}",
}
PROCESSORS = [
    f"django.{name}"
    for name in (
        "template.context_processors.debug",
        "template.context_processors.i18n",
        "template.context_processors.request",
        "template.context_processors.static",
        "template.context_processors.tz",
        "contrib.auth.context_processors.auth",
        "contrib.messages.context_processors.messages",
    )
]


ADDRESS = re.compile("id=[0-9]+")


def unknown(request: HttpRequest) -> dict[str, Any]:
    return {"x": request.headers.get("X-Number", "")}


def make_engine(processors: Sequence[str] = PROCESSORS, invalid: str = "", **more: str) -> Engine:
    templates = {**TEMPLATES, **more}
    return Engine(
        loaders=[
            ("django.template.loaders.cached.Loader", [("django.template.loaders.locmem.Loader", templates)])
        ],
        libraries=LIBRARIES,
        builtins=[OURS, *(LIBRARIES[name] for name in ("i18n", "l10n", "tz", "static"))],
        context_processors=list(processors),
        string_if_invalid=invalid,
    )


def page_request(number: int) -> HttpRequest:
    request = RequestFactory().get(f"/{number}/", headers={"X-Number": str(number)})
    request.user = f"user {number}"  # type: ignore[assignment]
    return request


def outcome(render: Callable[[], str]) -> str:
    try:
        return ADDRESS.sub("", str(render()))
    except Exception as error:
        return ADDRESS.sub("", f"{type(error).__name__}: {error}")


class Refresh:
    """Pages of one template that are rendered one after the other, each by itself or sharing."""

    def __init__(self, engine: Engine, part: str, shares: bool) -> None:
        self.engine, self.part = engine, part
        self.template = engine.get_template(part)
        self.memo = Memo() if shares else None
        self.rendered = 0
        self._numbers = itertools.count()

    def page(self, **context: Any) -> str:
        number = next(self._numbers)
        context.setdefault("csrf_token", f"token {number}")

        def render() -> str:
            self.rendered += 1
            return self.template.render(make_context(dict(context), page_request(number), autoescape=True))

        if self.memo is None:
            return outcome(render)
        memo = self.memo
        return outcome(lambda: memo.render(self.engine, self.part, context, render))


def times_rendered(part: str, *contexts: dict[str, Any], engine: Engine | None = None, **more: str) -> int:
    """Return how often pages that share were rendered, after a look at what they show."""
    engine = engine or make_engine(it=part, **more)
    own, shared = Refresh(engine, "it", shares=False), Refresh(engine, "it", shares=True)
    assert [shared.page(**context) for context in contexts] == [own.page(**context) for context in contexts]
    return shared.rendered


# What may be shared

ROWS = [{"id": "7", "name": "Ann", "meta": {"color": "teal"}}, {"id": "8", "name": "<Bob>", "meta": {}}]

SHAREABLE = [
    "{{ a }} online",
    "{{ a|default:'none'|upper }}{{ b|length }}{{ c|date:'Y' }}{{ a|add:c }}",
    "{% for p in rows %}<li id='{{ p.id }}'>{{ p.name.0 }}{{ p.meta.color }}{% empty %}none{% endfor %}",
    "{% for user in rows %}{{ user.name }}{{ user.request }}{% endfor %}",
    "{% with request=a user=b %}{{ request }}{{ user }}{% endwith %}",
    "{% for k, v in map.items %}{{ k }}{{ v }}{{ forloop.counter }}{% endfor %}",
    "{% for x in rows %}{% for y in x.name %}{{ forloop.parentloop.counter }}{{ y }}{% endfor %}{% endfor %}",
    "{% if a > 1 and not b or rows %}many{% elif a is None %}none{% else %}few{% endif %}",
    "{% include 'included' %}{% include 'included' with x=a only %}{% include 'self' with more=True %}{% include 'tree' %}",
    "{% extends 'middle' %}{% block top %}{{ block.super }}{{ block.name }}{{ a }}{% endblock %}",
    "{% trans 'Yes' %}{% blocktrans count n=a with x=b %}{{ n }} {{ x }} one{% plural %}{{ n }} many{% endblocktrans %}",
    "{% language 'de' %}{{ lazy }}{{ 1.5 }}{% endlanguage %}{{ lazy }}{% get_current_language as L %}{{ L }}",
    "{% localize on %}{{ a }}{% endlocalize %}{{ a|unlocalize }}{% timezone 'Asia/Tokyo' %}{{ when }}{% endtimezone %}",
    "{% url 'login' as where %}{{ where }}{% static 'a.css' %}{% get_static_prefix %}",
    "{% cycle 'a' 'b' as c silent %}{{ c }}{% firstof a b %}{% widthratio a 10 100 %}{% spaceless %}<b> {{ a }}{% endspaceless %}",
    "{% for x in rows %}{% ifchanged x.name %}{{ x.name }}{% endifchanged %}{% cycle 'o' 'e' %}{% endfor %}",
    "{% regroup rows by name as groups %}{% for g in groups %}{{ g.grouper }}{% endfor %}",
    "{% filter upper %}{{ a }}{% endfilter %}{% autoescape off %}{{ b }}{% endautoescape %}{% verbatim %}{{ x }}{% endverbatim %}",
    "{{ missing }}{{ STATIC_URL }}{{ LANGUAGE_CODE }}{{ TIME_ZONE }}{{ rows.0.name }}{{ _('x') }}{{ rows|json_script:'d' }}",
    "{% live_cursors a %}<p>{{ b }}</p>{% endlive_cursors %}{% comment %}{{ request }}{% endcomment %}",
    "{% load sharedtags %}{{ a|double }}{% added a b of=c as d %}{{ d }}{% shown a %}{% named a %}{{ b }}{% endnamed %}",
]


@pytest.fixture(autouse=True)
def shared_tags() -> Any:
    with override_settings(DJUST_PRESENCE={"SHARED_TAGS": ["sharedtags"]}):
        yield


def context(**more: Any) -> dict[str, Any]:
    rows = copy.deepcopy(ROWS)
    return {
        "a": 2,
        "b": "<b>",
        "c": datetime(2026, 1, 2, tzinfo=UTC),
        "when": datetime(2026, 1, 2, tzinfo=UTC),
        "rows": rows,
        "map": {"x": 1, "y": [2]},
        "lazy": gettext_lazy("Yes"),
        **more,
    }


@pytest.mark.parametrize("part", SHAREABLE)
def test_pages_that_show_the_same_are_rendered_once(part: str) -> None:
    assert times_rendered(part, context(), context(), context(view=object())) == 1
    times_rendered(part, context(), context(a=3), context(b=mark_safe("<b>")), context(rows=ROWS[:1], map={}))


UNSHAREABLE = {
    "{% now 'u' %}": "{% now %}",
    "{{ rows|random }}": "the filter random",
    "{{ when|timesince }}{{ when|timeuntil }}": "the filter timesince",
    "{% lorem 3 w random %}": "{% lorem %}",
    "{% debug %}": "{% debug %}",
    "<form>{% csrf_token %}": "{% csrf_token %}",
    "{{ csrf_token }}": "the variable csrf_token",
    "{{ request.path }}": "the variable request",
    "{% if p.id == user.pk %}you{% endif %}": "the variable user",
    "{% if perms.app.add %}{% endif %}": "the variable perms",
    "{% for p in rows %}{% if p.id == view.me %}you{% endif %}{% endfor %}": "the variable view",
    "{{ a|default:request.path }}": "the variable request",
    "{% blocktrans %}{{ user }}{% endblocktrans %}": "the variable user",
    "{% with x=request %}{{ x.path }}{% endwith %}": "the variable request",
    "{% with user=a %}{% endwith %}{{ user }}": "the variable user",
    "{% if a %}{% url 'login' as user %}{% endif %}{{ user }}": "the variable user",
    "{% include 'asks' %}": "the variable request",
    "{% include 'asks' with request=a only %}{% include 'asks' only %}": "the variable request",
    "{% include a %}": "{% include a %} of a variable",
    "{% include 'lost' %}": "{% include %} of 'lost': TemplateDoesNotExist",
    "{% extends a %}": "{% extends a %} of a variable",
    "{% extends 'base' %}{% block main %}{{ request.path }}{% endblock %}": "the variable request",
    "{% block x %}{{ block.context.request.path }}{% endblock %}": "the variable block.context.request.path",
    "{% url 'admin:index' %}": "{% url 'admin:index' %}, which depends on the request",
    "{% url a %}": "{% url a %}, which depends on the request",
    "{% if a is b %}same{% endif %}": "the operator is",
    "{{ rows.pop }}": "the lookup rows.pop",
    "{% for p in rows %}{{ p.popitem }}{% endfor %}": "the lookup p.popitem",
    "{% regroup rows by popitem as r %}": "the lookup r.popitem",
    "{{ when.now }}": "the lookup when.now",
    "{{ forloop.counter }}": "the variable forloop",
    "{% for x in b %}{{ forloop.parentloop.counter }}{% endfor %}": "the variable forloop",
    "{% for x in b %}{% for y in b %}{{ forloop.parentloop }}{% endfor %}{% endfor %}": "the variable forloop",
    "{% ifchanged a %}{{ b }}{% endifchanged %}": "the variable forloop",
    "{% load cache %}{% cache 9 x %}{% endcache %}": "{% cache %}",
    "{% live 'included' %}": "{% live %}",
    "{% live %}{% endlive %}": "{% live %}",
    "{% presence_avatars 'room' %}": "{% presence_avatars %}, which takes the context",
    "{% load othertags %}{{ a|numbered }}": "the filter numbered",
    "{% load othertags %}{{ a|upper }}": "the filter upper",
    "{% load othertags %}{% number %}": "{% number %}",
    "{% load othertags %}{% block_number %}{% end %}": "{% block_number %}",
    "{% load sharedtags %}{% told %}": "{% told %}, which takes the context",
    "{% load sharedtags %}{% asking a %}": "the variable csrf_token",
    "{% load sharedtags %}{% named request %}{% endnamed %}": "the variable request",
    "{% load sharedtags %}{% named a %}{{ user }}{% endnamed %}": "the variable user",
}


@pytest.mark.parametrize(("part", "reason"), UNSHAREABLE.items())
def test_parts_that_depend_on_page_or_moment_are_rendered_by_each(part: str, reason: str) -> None:
    engine = make_engine(it="{{ a }}\n" + part if "extends" not in part else part)
    reasons = read(engine.get_template("it")).reasons
    wanted = reason if ", which takes the context" not in reason or "told" in part else reason.split(",")[0]
    assert wanted in [one.what for one in reasons]
    refresh = Refresh(engine, "it", shares=True)
    for _ in range(3):
        refresh.page(**context())
    assert refresh.rendered == 3


def test_a_reason_says_where_it_is() -> None:
    engine = make_engine(it="\n{{ a }}{% include 'inner' %}", inner="\n\n{{ user }}")
    (reason,) = read(engine.get_template("it")).reasons
    assert str(reason) == "the variable user (inner:3)"


def test_a_tag_that_takes_part_in_presence_is_its_reader_s() -> None:
    for tag in ("presence_count", "presence_avatars", "presence", "presence_dot user", "presence_script"):
        engine = make_engine(it=f"{{% {tag} 'room' %}}" if "script" not in tag else f"{{% {tag} %}}")
        assert read(engine.get_template("it")).reasons


@pytest.mark.parametrize("name", ["x", "user", "messages", "dicts", "template"])
def test_a_variable_that_is_not_the_view_s_may_be_somebody_s(name: str) -> None:
    engine = make_engine([*PROCESSORS, f"{__name__}.unknown"], it=f"{{{{ {name} }}}}")
    assert times_rendered("", {}, {}, engine=engine) == 2
    own = {name: "text"}
    assert times_rendered("", own, own, engine=engine) == (2 if name == "user" else 1)


def test_messages_of_a_view_are_like_any_other_variable() -> None:
    rows = [{"text": "hello"}]
    assert (
        times_rendered(
            "{% for m in messages %}{{ m.text }}{% endfor %}", {"messages": rows}, {"messages": rows}
        )
        == 1
    )


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django has template partials since 6.0")
def test_partials_are_read() -> None:
    page = "{% partialdef who %}{{ a }}{% endpartialdef %}{% partial who %}{% partialdef here inline %}{{ b }}{% endpartialdef %}"
    assert times_rendered(page, context(), context()) == 1
    engine = make_engine(it="{% partialdef who %}{{ user }}{% endpartialdef %}{% partial who %}")
    assert read(engine.get_template("it")).reasons
    assert read(engine.get_template("it#who")).reasons


def test_a_template_that_is_included_may_be_replaced() -> None:
    engine = make_engine(it="{% include 'leaf' %}")
    part = engine.get_template("it")
    assert read(part).reasons == ()
    loader: Any = engine.template_loaders[0]
    loader.loaders[0].templates_dict["leaf"] = "{{ user }}"
    loader.get_template_cache.pop("leaf")
    assert read(part).reasons


def test_a_library_that_is_no_longer_named_is_not_shared() -> None:
    engine = make_engine(it="{% load sharedtags %}{{ a|double }}")
    part = engine.get_template("it")
    assert read(part).reasons == ()
    with override_settings(DJUST_PRESENCE={}):
        assert read(part).reasons
    with override_settings(DJUST_PRESENCE={"SHARED_TAGS": [LIBRARIES["sharedtags"]]}):
        assert read(part).reasons == ()


def test_a_node_that_cannot_be_read_keeps_nobody_from_rendering() -> None:
    engine = make_engine(it="{{ a }}")
    part: Any = engine.get_template("it")
    part.nodelist[0].filter_expression.filters = None
    (reason,) = read(part).reasons
    assert reason.what.startswith("what is in it, for TypeError: ")


# What surrounds them


def test_pages_in_other_languages_zones_and_address_spaces_do_not_share() -> None:
    engine = make_engine(it="{% trans 'Yes' %}{{ when|date:'H e T' }}{{ n }}{% url 'counter' as x %}{{ x }}")
    shared, own = Refresh(engine, "it", shares=True), Refresh(engine, "it", shares=False)
    surroundings = [
        (language, zone, urlconf, prefix)
        for language in ("en", "de", None)
        for zone in (UTC, ZoneInfo("UTC"), ZoneInfo("Asia/Tokyo"))
        for urlconf in (None, "tests.live.urls")
        for prefix in ("/", "/below/")
    ]
    values = {"when": datetime(2026, 1, 2, tzinfo=UTC), "n": Decimal("1.5")}
    for _ in range(2):
        for language, zone, urlconf, prefix in surroundings:
            with translation.override(language), timezone.override(zone):
                django.urls.set_urlconf(urlconf)
                django.urls.set_script_prefix(prefix)
                try:
                    assert shared.page(**values) == own.page(**values)
                finally:
                    django.urls.set_urlconf(None)
                    django.urls.clear_script_prefix()
    assert len(surroundings) > MAX_KEPT


def test_a_memo_keeps_few_renderings() -> None:
    refresh = Refresh(make_engine(it="{{ a }}"), "it", shares=True)
    for number in range(10 * MAX_KEPT):
        refresh.page(a=number)
    assert refresh.rendered == 10 * MAX_KEPT
    refresh.page(a=10 * MAX_KEPT - 1)
    assert refresh.rendered == 10 * MAX_KEPT
    assert refresh.memo
    assert len(refresh.memo._html) <= MAX_KEPT


# Whatever is in them


class Thing:
    """An object that templates look into; it changes as it is looked at."""

    def __init__(self) -> None:
        self.times = 0
        self.name = "thing"

    def __str__(self) -> str:
        self.times += 1
        return f"{self.times} times"

    def __repr__(self) -> str:
        return "a thing"

    def count(self) -> int:
        self.times += 1
        return self.times


class Once:
    """An iterator that looks the same wherever it is."""

    def __init__(self, values: str) -> None:
        self.left = list(values)

    def __iter__(self) -> Once:
        return self

    def __next__(self) -> str:
        if not self.left:
            raise StopIteration
        return self.left.pop(0)

    def __repr__(self) -> str:
        return f"once {''.join(self.left)}"


class Mapping(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return f"no {key}"


class Html(str):
    def __html__(self) -> str:
        return f"<i>{self}</i>"


class Values:
    """Makes the values of pages: some are made for each, others are one object for all."""

    def __init__(self) -> None:
        self.thing = Thing()
        self.iterator = Once("abcdefgh" * 8)
        self.list: list[Any] = ["shared"]
        self.make: dict[str, Callable[[], Any]] = {
            "thing": Thing,
            "the thing": lambda: self.thing,
            "callable": lambda: self.thing.count,
            "iterator": lambda: Once("ab"),
            "the iterator": lambda: self.iterator,
            "iterator within": lambda: {"a": ["a", "b"], "b": Once("ab")},
            "the list": lambda: self.list,
            "mapping": lambda: Mapping(a=1),
            "html": lambda: Html("<b>"),
            "lazy": lambda: gettext_lazy("May"),
            "month": lambda: pgettext_lazy("alt. month", "May"),
            "recursive": self.recursive,
        }

    @staticmethod
    def recursive() -> list[Any]:
        values: list[Any] = [1]
        values.append(values)
        return values

    def build(self, value: Any) -> Any:
        match value:
            case ("made", name):
                return self.make[name]()
            case list():
                return [self.build(one) for one in value]
            case dict():
                return {key: self.build(one) for key, one in value.items()}
        return value


NAMES = "abc"
scalars = st.sampled_from(
    [
        *(
            None,
            True,
            False,
            0,
            1,
            2,
            0.0,
            -0.0,
            1.0,
            float("nan"),
            "",
            "1",
            "a",
            "<b>",
            "True",
            mark_safe("<b>"),
        ),
        *(
            mark_safe("1"),
            Decimal("1"),
            Decimal("1.0"),
            datetime(2026, 5, 6, 7),
            datetime(2026, 5, 6, 7, tzinfo=UTC),
        ),
        *(
            datetime(2026, 5, 6, 7, tzinfo=ZoneInfo("UTC")),
            datetime(2026, 5, 6, 9, tzinfo=ZoneInfo("Europe/Berlin")),
        ),
        *(("made", name) for name in Values().make),
    ]
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "items", 1, True, "0"]), inner, max_size=3)
    ),
    max_leaves=6,
)
VARIABLES = [*NAMES, "forloop", "x", "user"]
plain = st.sampled_from([1, "a", "<b>", ["a", {"a": 1}], {"a": ["b"], "items": 1}])
bases = st.fixed_dictionaries(dict.fromkeys(NAMES, plain | values))
changes = st.dictionaries(st.sampled_from(VARIABLES), values, max_size=1)
pages = st.tuples(bases, st.lists(changes, min_size=1, max_size=3)).map(
    lambda drawn: [drawn[0], *({**drawn[0], **change} for change in drawn[1])]
)

LOOKUPS = [
    "a",
    "b",
    "c",
    "a.a",
    "b.0",
    "a.items",
    "c.1",
    "a.name",
    "b.count",
    "x",
    "forloop",
    "user",
    "messages",
    "a.pop",
    "1",
]
FILTERS = [
    "",
    "",
    "|upper",
    "|safe",
    "|length",
    "|default:b",
    "|add:c",
    "|first",
    "|join:a",
    "|date:'c e'",
    "|floatformat:2",
]
FILTERS += [
    "|yesno",
    "|dictsort:'a'",
    "|stringformat:'r'",
    "|pprint",
    "|escapejs",
    "|localize",
    "|random",
    "|json_script",
]
expressions = st.builds("".join, st.tuples(st.sampled_from(LOOKUPS), st.sampled_from(FILTERS)))
SIMPLE = [
    "text",
    "{{ %s }}",
    "{{ %s }}",
    "{{ forloop.counter }}{{ forloop.parentloop.counter }}{{ %s }}",
    "{%% cycle 'x' %s %%}",
    "{%% cycle %s 'y' as c %%}",
    "{%% firstof %s b as x %%}{{ x }}",
    "{%% include 'included' with x=%s %%}",
    "{%% include 'included' with a=%s only %%}",
    "{%% include 'asks' with request=%s %%}",
    "{%% include %s %%}",
    "{%% trans %s %%}",
    "{%% trans 'May' context 'alt. month' as b %%}{{ b }}{{ %s }}",
    "{%% blocktrans with y=%s %%}{{ y }}{{ a }}{{ user }}{%% endblocktrans %%}",
    "{%% url 'login' as a %%}{{ a }}{{ %s }}",
    "{%% widthratio %s 2 100 %%}",
    "{%% regroup %s by a as b %%}{{ b }}",
    "{%% now 'Y' %%}{{ %s }}",
    "{%% load othertags %%}{%% number %%}{{ %s }}",
    "{%% load sharedtags %%}{%% added %s a as b %%}{{ b }}{%% shown %s %%}",
]
BLOCKS = [
    "{%% with a=%s %%}{body}{%% endwith %%}",
    "{%% with user=%s x=a %%}{body}{%% endwith %%}",
    "{%% for a in %s %%}{body}{%% empty %%}{{{{ a }}}}{%% endfor %%}",
    "{%% for x, y in %s %%}{body}{%% endfor %%}",
    "{%% if %s %%}{body}{%% else %%}{{{{ a }}}}{%% endif %%}",
    "{%% if %s == a or b in c %%}{body}{%% endif %%}",
    "{%% if %s is a %%}{body}{%% endif %%}",
    "{%% if %s is not None %%}{body}{%% endif %%}",
    "{%% ifchanged %s %%}{body}{%% endifchanged %%}",
    "{%% filter default:%s %%}{body}{%% endfilter %%}",
    "{%% autoescape off %%}{{{{ %s }}}}{body}{%% endautoescape %%}",
    "{%% language 'de' %%}{{{{ %s }}}}{body}{%% endlanguage %%}",
    "{%% timezone 'Asia/Tokyo' %%}{{{{ %s }}}}{body}{%% endtimezone %%}",
    "{%% localtime off %%}{{{{ %s }}}}{body}{%% endlocaltime %%}",
    "{%% spaceless %%}{{{{ %s }}}}{body}{%% endspaceless %%}",
    "{%% load sharedtags %%}{%% named b %%}{{{{ %s }}}}{body}{%% endnamed %%}",
]


def filled(pattern: str, expression: str) -> str:
    return pattern.replace("%s", expression).replace("%%", "%")


leaves = st.builds(filled, st.sampled_from(SIMPLE), expressions)
sources = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map("".join)
        | st.builds(
            lambda block, expression, body: filled(
                block.replace("{{", "{").replace("}}", "}"), expression
            ).replace("{body}", body),
            st.sampled_from(BLOCKS),
            expressions,
            inner,
        )
    ),
    max_leaves=6,
)


@given(sources, pages, st.booleans(), st.sampled_from(["", "none", "no %s"]))
@exploring(
    max_examples=400,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_page_shows_what_it_would_by_itself(
    source: str, pages: list[dict[str, Any]], knows_processors: bool, invalid: str
) -> None:
    processors = PROCESSORS if knows_processors else [*PROCESSORS, f"{__name__}.unknown"]
    engine = make_engine(processors, invalid, it=source)
    try:
        engine.get_template("it")
    except Exception:
        return
    shown: dict[bool, list[str]] = {}
    for shares in (False, True):
        othertags.numbers = itertools.count()
        random.seed(1)
        refresh, made = Refresh(engine, "it", shares), Values()
        shown[shares] = []
        for page in [*pages, pages[0]]:
            made.list.append(len(made.list))
            shown[shares].append(refresh.page(**{name: made.build(value) for name, value in page.items()}))
    assert shown[True] == shown[False]


# On live pages


class Counted(PresenceMixin, LiveView):
    presence_key = "counted"
    presence_unique_per_connection = True
    template_name = "live/counted.html"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.watch_presence()


class Coming(Counted):
    template_name = "live/here.html"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()


class CountedAlone(Counted):
    share_parts = False


class CountedInside(Counted):
    def live_context(self) -> AbstractContextManager[Any]:
        return nullcontext()


class CountedByName(Counted):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        super().mount(request)
        self.number = request.GET.get("number")


urlpatterns = [
    path("counted/", Counted.as_view()),
    path("coming/", Coming.as_view()),
    path("alone/", CountedAlone.as_view()),
    path("inside/", CountedInside.as_view()),
    path("by-name/", CountedByName.as_view()),
]
PAGES = 45  # of which no hop takes all


@pytest.mark.parametrize(
    ("paths", "times"),
    [
        (["/counted/"], 1),
        (["/alone/"], PAGES),
        (["/inside/"], PAGES),
        (["/counted/", "/alone/", "/alone/"], 1 + PAGES * 2 // 3),
        (["/by-name/?number=1", "/by-name/?number=2", "/by-name/?number=1"], 2),
    ],
)
async def test_pages_share_one_rendering_of_a_refresh_and_none_of_the_next(
    settings: Settings, paths: list[str], times: int
) -> None:
    settings.ROOT_URLCONF = __name__
    templates = copy.deepcopy(settings.TEMPLATES)
    templates[0]["OPTIONS"]["libraries"] = LIBRARIES
    settings.TEMPLATES = templates
    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(live(paths[number % len(paths)])) for number in range(PAGES)]
        for page in pages:
            assert "<p>0 online" in (await started(page))["live-1"]
        for count in (1, 2):
            with sharedtags.counting() as counted:
                await started(await stack.enter_async_context(live("/coming/")))
                shown = [json.loads((await page.receive_output(timeout=10))["text"]) for page in pages]
                assert all(f"<p>{count} online" in frame["regions"]["live-1"] for frame in shown)
            assert counted == [count] * times


# The check


class Absent(Counted):
    template_name = "live/absent.html"


class Personal(Counted):
    template_name = "live/personal.html"


class PersonalAlone(Personal):
    share_parts = False


@pytest.mark.parametrize(
    ("views", "wanted"),
    [
        ([Counted, Absent, TemplateView], []),
        ([PersonalAlone], []),
        (
            [Personal, Personal, PersonalAlone],
            ["it has {% now %} (live/personal_part.html:1), the variable user (live/personal_inner.html:2)."],
        ),
    ],
)
def test_the_check_says_what_keeps_a_part_from_being_shared(
    settings: Settings, views: Sequence[Any], wanted: list[str]
) -> None:
    site: Any = ModuleType("site")
    site.urlpatterns = [path(f"{number}/", view.as_view()) for number, view in enumerate(views)]
    settings.ROOT_URLCONF = site
    templates = copy.deepcopy(settings.TEMPLATES)
    templates[0]["OPTIONS"]["libraries"] = LIBRARIES
    settings.TEMPLATES = templates
    said = check_shared_parts()
    assert [one.id for one in said] == ["djust_presence.I001"] * len(wanted)
    assert all(one.msg.endswith(ending) for one, ending in zip(said, wanted, strict=True))
    assert all(
        "'live/personal_part.html' by itself" in one.msg and "share_parts" in str(one.hint) for one in said
    )
