"""Regions of every kind, in every place: a refresh renders them alone, and as the page would show them."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import django
import pytest
from django.http import HttpResponse
from django.template import TemplateDoesNotExist, TemplateSyntaxError, engines
from django.template.response import TemplateResponse
from django.test import RequestFactory
from pytest_django import Settings

from djust_presence.hosts.outgoing import encode
from djust_presence.live.rendering import render
from tests.profiling import calls_of

from . import views
from .conftest import live
from .showing import Show, Showing, Tally
from .test_consumer import started

partials = pytest.mark.skipif(django.VERSION < (6, 0), reason="Django has template partials since 6.0")

# Parts by themselves


def test_only_the_parts_of_a_page_of_parts_are_rendered(show: Show) -> None:
    around, within = Tally(), Tally()
    page = show(
        '{{ around }}{% live "part" %}{{ around }}{% live "other" %}',
        {"other": "{{ within }}{{ word }}"},
        around=around,
        within=within,
        word="hello",
    )
    assert (around.times, within.times) == (2, 1)
    assert page.first == {"live-1": "<b>0</b>", "live-2": "hello"}
    assert page.refresh(count=1) == {"live-1": "<b>1</b>"}
    assert page.refresh(word="bye") == {"live-2": "bye"}
    assert page.refresh() == {}
    assert (around.times, within.times) == (2, 4)


@pytest.mark.parametrize(
    "inline",
    [
        "{% live %}{{ word }}{% endlive %}",
        '{% include "inline" %}',
        '{% for _ in "x" %}{% include "inline" %}{% endfor %}',
    ],
)
def test_one_inline_region_makes_a_refresh_render_the_page(show: Show, inline: str) -> None:
    around = Tally()
    page = show(
        '{{ around }}{% live "part" %}' + inline,
        {"inline": "{% live %}{{ word }}{% endlive %}"},
        around=around,
        word="hello",
    )
    assert list(page.refresh(word="bye").values()) == ["bye"]
    assert list(page.refresh(count=1).values()) == ["<b>1</b>"]
    assert around.times == 3


SURROUNDINGS = {
    "nothing": '{% live "it" %}',
    "with": '{% with count="other" word="other" %}{% live "it" %}{% endwith %}',
    "for": '{% for count in "xy" %}{% live "it" %}{% endfor %}',
    "autoescape off": '{% autoescape off %}{% live "it" %}{% endautoescape %}',
    "as": '{% load tz %}{% get_current_timezone as word %}{% live "it" %}',
    "cycle": '{% cycle "a" "b" as word %}{% live "it" %}{% cycle word %}{% live "it" %}',
    "include": '{% include "including" with count=7 %}',
    "include only": '{% include "including" only %}',
    "extends": '{% extends "base" %}{% block main %}{% live "it" %}{% endblock %}',
    "extends a variable": '{% extends parent %}{% block main %}{% live "it" %}{% endblock %}',
    "block.super": '{% extends "with it" %}{% block main %}{{ block.super }}!{{ block.super }}{% endblock %}',
    "language": '{% load i18n %}{% language "de" %}x{% endlanguage %}{% live "it" %}',
}
PARTS = {
    "variables": "{{ count }} {{ word }} {{ markup }} {{ forloop.counter }}",
    "request": "{{ count }} {{ request.path }} {{ user }} {{ view.template_name }} {% csrf_token %}",
    "cycle": '{{ count }}{% for _ in "abc" %}{% cycle "x" "y" %}{% endfor %}{% cycle "1" "2" %}',
    "extends": '{% extends "base" %}{% block main %}{{ count }}{{ block.super }}{% endblock %}',
    "includes": '{% include "part" %}{% with count=5 %}{% include "part" %}{% endwith %}',
    "sets": "{% load tz %}{{ word }}{% get_current_timezone as word %}{{ word }}{{ count }}",
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("around", SURROUNDINGS.values(), ids=SURROUNDINGS)
def test_a_part_by_itself_is_what_it_is_in_the_page(show: Show, around: str, part: str) -> None:
    page = show(
        around,
        {
            "it": part,
            "including": '{% live "it" %}',
            "with it": '{% extends "base" %}{% block main %}{% live "it" %}{% endblock %}',
        },
        parent="base",
        word="<word>",
        markup="<i>",
    )
    assert page.page.parts
    assert page.refresh() == {}
    changed = page.refresh(count=1, word="<other>")
    whole = render(page.view, "a-token")
    assert changed == whole.regions != page.first
    assert all(
        f'<live-region id="{name}">{html}</live-region>' in whole.html for name, html in changed.items()
    )
    assert page.refresh() == {}


def test_a_part_gets_what_the_view_says_at_that_time(show: Show) -> None:
    class View(views.Counter):
        def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
            return super().get_context_data(double=self.count * 2, **kwargs)

    page = show('{% live "it" %}', {"it": "{{ double }}"}, View)
    assert page.refresh(count=2) == {"live-1": "4"}


def test_parts_in_an_if_or_a_loop_stay_as_many_as_when_the_page_was_loaded(show: Show) -> None:
    page = show(
        '{% for _ in rows %}{% live "part" %}{% endfor %}{% if rows %}{% live "part" %}{% endif %}', rows="ab"
    )
    assert list(page.first) == ["live-1", "live-1-2", "live-2"]
    assert page.refresh(rows="abc", count=1) == dict.fromkeys(page.first, "<b>1</b>")
    assert page.refresh(rows="", count=2) == dict.fromkeys(page.first, "<b>2</b>")


def test_a_part_that_a_variable_names_may_become_another_one(show: Show) -> None:
    page = show("{% live tab %}", {"other": "other {{ count }}"}, tab="part")
    assert page.refresh(tab="other") == {"live-1": "other 0"}
    assert page.refresh(count=1) == {"live-1": "other 1"}


def test_a_part_may_be_named_by_what_surrounds_it(show: Show) -> None:
    page = show(
        "{% for name in names %}{% live name %}{% endfor %}{% live 'p'|add:end %}",
        {"other": "other"},
        names=["part", "other"],
        end="art",
    )
    assert page.first == {"live-1": "<b>0</b>", "live-1-2": "other", "live-2": "<b>0</b>"}
    assert page.refresh(names=["other", "part"]) == {"live-1": "other", "live-1-2": "<b>0</b>"}


@pytest.mark.parametrize(
    "template",
    [
        '{% live "part" %}{% if count %}{% live %}more{% endlive %}{% endif %}',
        '{% extends "with part" %}{% block main %}{% if count %}{% live %}more{% endlive %}{% endif %}{% endblock %}',
    ],
)
def test_an_inline_region_that_appears_beside_parts_is_shown(show: Show, template: str) -> None:
    templates = {"with part": '{% live "part" %}{% block main %}{% endblock %}'}
    page = show(template, templates)
    html = page.refresh(count=1)["*"]
    assert re.fullmatch(
        "<live-region id=.+><b>1</b></live-region><live-region id=.+>more</live-region>", html
    )


def test_a_part_that_appears_where_nothing_was_live_is_shown(show: Show) -> None:
    page = show('{% if count %}{% live "part" %}{% endif %}')
    assert page.first == {"*": ""}
    assert page.refresh(count=1) == {"*": '<live-region id="live-1"><b>1</b></live-region>'}
    assert page.refresh(count=2) == {"live-1": "<b>2</b>"}


def test_regions_that_take_each_other_s_place_make_the_whole_page_differ(show: Show) -> None:
    page = show(
        "{% if count %}<b>{% live %}b{% endlive %}</b>{% else %}<i>{% live %}i{% endlive %}</i>{% endif %}"
    )
    assert page.refresh(count=1) == {"*": '<b><live-region id="live-1">b</live-region></b>'}


def test_parts_are_read_again_as_django_does(show: Show) -> None:
    templates = {"it": "old"}
    page = show('{% live "it" %}', templates)
    (loader,) = engines["django"].engine.template_loaders  # type: ignore[attr-defined]
    loader.loaders[0].templates_dict["it"] = "new"
    loader.reset()
    assert page.refresh() == {"live-1": "new"}


# Their ids


def test_a_region_has_its_id_from_the_tag_s_number_in_the_page_s_template(show: Show) -> None:
    page = show(
        '{% live "part" %}{% live %}{% endlive %}{% for _ in "ab" %}{% live %}{% endlive %}{% endfor %}'
    )
    assert list(page.first) == ["live-1", "live-2", "live-3", "live-3-2"]


def test_regions_of_other_templates_have_ids_of_their_own(show: Show) -> None:
    templates = {
        "with part": '{% live "part" %}{% block main %}{% endblock %}{% include "inline" %}',
        "inline": "{% live %}inline{% endlive %}",
    }
    page = show('{% extends "with part" %}{% block main %}{% live "part" %}{% endblock %}', templates)
    first, second, third = page.first
    assert second == "live-1"
    assert all(re.fullmatch("live-[0-9a-f]{8}-1", name) for name in (first, third))
    assert first != third
    assert list(show('{% include "inline" %}', templates).first) == [third]


def test_a_page_and_its_socket_with_other_regions_name_the_same_ones_alike(show: Show) -> None:
    source = '{% if count %}{% live "part" %}{% endif %}{% live %}{{ count }}{% endlive %}'
    loaded, mounted = show(source), show(source, count=1)
    assert list(loaded.first) == ["live-2"]
    assert mounted.first == {"live-1": "<b>1</b>", "live-2": "1"}


def test_a_page_that_has_other_regions_is_given_whole_once(show: Show) -> None:
    around = Tally()
    page = show('{{ around }}{% for _ in rows %}{% live "part" %}{% endfor %}', around=around, rows="a")
    page.shown.owe_page()
    one, two = (
        '<live-region id="live-1"><b>0</b></live-region>',
        '<live-region id="live-1-2"><b>0</b></live-region>',
    )
    assert page.refresh(rows="ab") == {"*": one + two}
    assert page.refresh() == {}
    assert page.refresh(count=1) == {"live-1": "<b>1</b>", "live-1-2": "<b>1</b>"}
    assert around.times == 2


def test_a_page_stays_owed_when_it_could_not_be_rendered(show: Show) -> None:
    page = show("{% include name %}{% live %}{% endlive %}", name="part")
    page.shown.owe_page()
    with pytest.raises(TemplateDoesNotExist):
        page.refresh(name="lost")
    assert list(page.refresh(name="part")) == ["*"]


async def test_a_page_may_ask_to_be_sent_whole() -> None:
    async with live("/regions/") as socket:
        await started(socket)
        await socket.send_json_to({"type": "page"})
        (html,) = (await socket.frame())["regions"].values()
        assert '<live-region id="live-1"><b>0 inside</b></live-region>' in html
        assert await socket.call(1, "nothing") == [{"type": "ack", "ref": 1}]


# The page around them


def test_additions_of_render_to_response_are_the_page_s(show: Show) -> None:
    class View(views.Counter):
        def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
            context["extra"] = "extra"
            return super().render_to_response(context, **kwargs)

    page = show('{{ extra }}{% live "it" %}', {"it": "[{{ extra }}]"}, View)
    assert page.html == 'extra<live-region id="live-1">[]</live-region>'
    assert page.refresh() == {}


def test_response_class_and_callbacks_are_there_for_the_page_and_not_for_parts(show: Show) -> None:
    called: list[str] = []

    class Response(TemplateResponse):
        @property
        def rendered_content(self) -> str:
            called.append("rendered")
            return super().rendered_content

    class View(views.Counter):
        response_class = Response

        def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
            response = super().render_to_response(context, **kwargs)
            assert isinstance(response, TemplateResponse)
            response.add_post_render_callback(lambda response: called.append("called back"))
            return response

    page = show('{% live "part" %}', view=View)
    assert called == ["rendered", "called back"]
    page.refresh(count=1)
    assert called == ["rendered", "called back"]
    page = show("{% live %}{{ count }}{% endlive %}", view=View)
    page.refresh(count=1)
    assert called == ["rendered", "called back"] * 3


# Inline regions, and pages that are live as a whole

INLINE: dict[str, tuple[str, list[str], list[str]]] = {
    "with": ('{% with word="w" %}{% live %}{{ word }}{{ count }}{% endlive %}{% endwith %}', ["w0"], ["w1"]),
    "for": ('{% for x in "ab" %}{% live %}{{ x }}{{ count }}{% endlive %}{% endfor %}', ["a0", "b0"], ["a1", "b1"]),
    "autoescape off": ("{% autoescape off %}{% live %}{{ m }}{{ count }}{% endlive %}{% endautoescape %}", ["<i>0"], ["<i>1"]),
    "autoescape on": ("{% live %}{{ m }}{{ count }}{% endlive %}", ["&lt;i&gt;0"], ["&lt;i&gt;1"]),
    "cycle": (
        '{% for x in "ab" %}{% live %}{% cycle "odd" "even" %}{{ count }}{% endlive %}{% endfor %}',
        ["odd0", "even0"],
        ["odd1", "even1"],
    ),
    "as": ('{% load tz %}{% get_current_timezone as zone %}{% live %}{{ zone }}{{ count }}{% endlive %}', ["UTC0"], ["UTC1"]),
    "include": ('{% include "inline" with word="w" %}', ["w0"], ["w1"]),
    "extends": ('{% extends "base" %}{% block main %}{% live %}{{ count }}{% endlive %}{% endblock %}', ["0"], ["1"]),
    "a block inside": (
        '{% extends "with block" %}{% block inner %}{{ block.super }}new{{ count }}{% endblock %}',
        ["[old0new0]"],
        ["[old1new1]"],
    ),
    "extends twice": (
        '{% extends "middle" %}{% block inner %}<{{ block.super }}>{% endblock %}',
        ["[<old0mid>]"],
        ["[<old1mid>]"],
    ),
    "extends a variable": ('{% extends parent %}{% block inner %}{{ count }}{% endblock %}', ["[0]"], ["[1]"]),
    "block.super": (
        '{% extends "with block" %}{% block all %}{{ block.super }}{{ block.super }}{% endblock %}',
        ["[old0]", "[old0]"],
        ["[old1]", "[old1]"],
    ),
    "beside a part": (
        '{% live "part" %}{% with word="w" %}{% live %}{{ word }}{{ count }}{% endlive %}{% endwith %}',
        ["<b>0</b>", "w0"],
        ["<b>1</b>", "w1"],
    ),
}  # fmt: skip
INLINE_TEMPLATES = {
    "inline": "{% live %}{{ word }}{{ count }}{% endlive %}",
    "with block": "{% block all %}{% live %}[{% block inner %}old{{ count }}{% endblock %}]{% endlive %}{% endblock %}",
    "middle": '{% extends "with block" %}{% block inner %}{{ block.super }}mid{% endblock %}',
}


@pytest.mark.parametrize(("template", "before", "after"), INLINE.values(), ids=INLINE)
def test_an_inline_region_knows_all_that_surrounds_it(
    show: Show, template: str, before: list[str], after: list[str]
) -> None:
    page = show(template, INLINE_TEMPLATES, m="<i>", parent="with block")
    assert list(page.first.values()) == before
    assert page.refresh() == {}
    changed = page.refresh(count=1)
    assert list(changed) == list(page.first)
    assert re.findall('id="(live-.*?)"', page.html) == list(page.first)
    assert list(changed.values()) == after


@pytest.mark.parametrize(
    "template",
    [
        "bare {{ count }}",
        '{% extends "base" %}{% block main %}{{ count }}{% endblock %}',
        "{% extends parent %}{% block main %}{{ block.super }}{{ count }}{% endblock %}",
        '{% with word="w" %}{% include "part" %}{% endwith %}',
    ],
)
def test_without_regions_the_page_is_live_as_a_whole(show: Show, template: str) -> None:
    page = show(template, parent="base")
    assert page.first == {"*": page.html}
    assert page.refresh() == {}
    assert page.refresh(count=1) == {"*": page.html.replace("0", "1")}


# Jinja2


@pytest.fixture
def jinja(settings: Settings) -> Callable[[], Showing]:
    """Show a Jinja2 template with a form."""

    def show() -> Showing:
        settings.TEMPLATES = [
            {
                "BACKEND": "django.template.backends.jinja2.Jinja2",
                "DIRS": [Path(__file__).parent / "templates"],
                "OPTIONS": {"context_processors": ["djust_presence.context_processors.csrf"]},
            }
        ]
        view = views.Counter()
        view.setup(RequestFactory().get("/"))
        view.template_name = "live/jinja.html"
        view.mount(view.request)
        return Showing(view)

    return show


def test_a_jinja2_page_with_a_form_is_sent_when_it_differs(jinja: Callable[[], Showing]) -> None:
    page = jinja()
    token = '<input type="hidden" name="csrfmiddlewaretoken" value="a-token"><i>a-token</i>'
    assert page.first == {"*": f"<form>{token}00</form>"}
    assert page.refresh() == {}
    assert page.refresh(count=1) == {"*": f"<form>{token}11</form>"}


def test_in_other_views_jinja2_has_django_s_own_token(jinja: Callable[[], Showing]) -> None:
    jinja()
    html = engines["jinja2"].get_template("live/jinja.html").render({}, RequestFactory().get("/"))
    assert re.search('value="[A-Za-z0-9]{64}"', html)


# Partials


@partials
def test_a_partial_may_contain_regions(show: Show) -> None:
    page = show(
        "{% partialdef who %}{% live %}{{ x }}{{ count }}{% endlive %}{% endpartialdef %}"
        '{% with x="a" %}{% partial who %}{% endwith %}{% partialdef here inline %}{% live "part" %}{% endpartialdef %}'
        "{% partial who %}"
    )
    assert page.first == {"live-1": "a0", "live-2": "<b>0</b>", "live-1-2": "0"}
    assert page.refresh(count=1) == {"live-1": "a1", "live-2": "<b>1</b>", "live-1-2": "1"}


@partials
def test_a_partial_may_be_a_part(show: Show) -> None:
    around = Tally()
    page = show(
        '{{ around }}{% partialdef who %}{{ count }} {{ request.path }}{% endpartialdef %}{% live "page#who" %}',
        around=around,
    )
    assert page.first == {"live-1": "0 /page/"}
    assert page.refresh(count=1) == {"live-1": "1 /page/"}
    assert around.times == 1


@partials
def test_a_partial_may_be_the_page(show: Show) -> None:
    page = show("{% partialdef all %}<p>{% live %}{{ count }}{% endlive %}</p>{% endpartialdef %}")
    page.view.template_name = "page#all"
    page = Showing(page.view)
    assert page.html == '<p><live-region id="live-1">0</live-region></p>'
    assert page.refresh(count=1) == {"live-1": "1"}


@partials
def test_a_partial_that_does_not_exist_is_named(show: Show) -> None:
    with pytest.raises(TemplateDoesNotExist, match="nobody"):
        show('{% live "page#nobody" %}')


# What it costs


def test_the_cost_of_a_part_does_not_grow_with_the_page_around_it(show: Show) -> None:
    table = "{% for row in rows %}<tr><td>{{ row }}</td><td>{{ count }}</td></tr>{% endfor %}"
    small, large = (show(table + '{% live "part" %}', rows=range(rows)) for rows in (10, 2000))

    def seconds(page: Showing) -> float:
        start = perf_counter()
        assert page.refresh(count=page.view.count + 1)
        return perf_counter() - start

    pairs = [(seconds(small), seconds(large)) for _ in range(50)]
    assert median(b / a for a, b in pairs) < 5  # the whole page would cost a hundred times as much


async def test_pages_that_show_the_same_are_sent_the_very_same_frame() -> None:
    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(live("/crowd/")) for _ in range(200)]
        for page in pages:
            assert await started(page) == {"live-1": "<p>0 online</p>"}
        with calls_of(encode, "kind") as encoded:
            await started(await stack.enter_async_context(live("/crowd/?come")))
            texts = [(await page.receive_output(timeout=10))["text"] for page in pages]
        assert texts[0] == '{"type":"render","regions":{"live-1":"<p>1 online</p>"}}'
        assert all(text is texts[0] for text in texts)
        assert encoded.count("render") <= 2  # for all of them, and the first one of who came


# Wrong use


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% live %}{% live %}{% endlive %}{% endlive %}", "page:1 is inside the one at page:1"),
        ('{% live %}\n{% live "part" %}{% endlive %}', "page:2 is inside the one at page:1"),
        ('{% live %}{% include "inline" %}{% endlive %}', "inline:1 is inside the one at page:1"),
        ('{% live "including" %}', "inline:1 is inside the one at page:1"),
        ('{% live "parts" %}', "parts:1 is inside the one at page:1"),
        ("{% live count %}", r"{% live count %} at page:1 wants the name of a template, not 0"),
        ("{% live 5 %}", r"{% live 5 %} at page:1 wants the name of a template, not 5"),
        ("\n{% live missing %}", r"{% live missing %} at page:2 wants the name of a template, not None"),
        ("{% live part.html %}", r"{% live part.html %} at page:1 wants the name of a template, not None"),
        ("{% live %}", "Unclosed tag on line 1: 'live'"),
        ('{% live "part" %}{% endlive %}', "endlive"),
        ('{% live "part" "inline" %}', "at most one argument"),
        ('{% live "part" with count=1 %}', "at most one argument"),
        ('{% live "part %}', "Could not parse"),
    ],
)
def test_wrong_use_is_told(show: Show, template: str, message: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=message):
        show(
            template,
            {
                "inline": "{% live %}{% endlive %}",
                "including": '{% include "inline" %}',
                "parts": '{% live "part" %}',
            },
        )


@pytest.mark.parametrize(
    "template", ['{% live "lost.html" %}', "{% live name %}", '{% include "including" %}']
)
def test_a_part_that_does_not_exist_is_named(show: Show, template: str) -> None:
    with pytest.raises(TemplateDoesNotExist, match=r"^lost\.html$"):
        show(template, {"including": '{% live "lost.html" %}'}, name="lost.html")


def test_a_region_that_appears_inside_a_part_later_is_an_error_too(show: Show) -> None:
    page = show('{% live "it" %}', {"it": "{% if count %}{% live %}{% endlive %}{% endif %}"})
    with pytest.raises(TemplateSyntaxError, match="it:1 is inside the one at page:1"):
        page.refresh(count=1)
    assert page.refresh(count=0) == {}


def test_after_an_error_the_next_refresh_is_as_usual(show: Show) -> None:
    page = show("{% live %}{% include name %}{% endlive %}", name="part")
    with pytest.raises(TemplateDoesNotExist):
        page.refresh(name="lost")
    assert page.refresh(name="part") == {}
    assert page.refresh(count=1) == {"live-1": "<b>1</b>"}
