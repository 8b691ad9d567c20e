"""``{% live as tbody %}``: regions that are elements of their own."""

from __future__ import annotations

from typing import Any

import pytest
from django.template import TemplateSyntaxError, engines
from django.test import RequestFactory
from django.utils.safestring import mark_safe

from djust_presence.live.elements import NAMES
from djust_presence.live.rendering import render

from .showing import Show, Tally


def test_a_region_is_the_element_that_the_tag_names(show: Show) -> None:
    page = show(
        '<table>{% live as tbody %}<tr><td>{{ count }}{% endlive %}{% live "part" as caption %}</table>'
    )
    assert page.html == (
        '<table><tbody id="live-1" live-region="live-1"><tr><td>0</tbody>'
        '<caption id="live-2" live-region="live-2"><b>0</b></caption></table>'
    )
    assert page.refresh(count=1) == {"live-1": "<tr><td>1", "live-2": "<b>1</b>"}


def test_parts_that_are_elements_are_rendered_by_themselves(show: Show) -> None:
    around = Tally()
    page = show('{{ around }}{% live "part" as p class=word %}', around=around, word="x")
    assert page.html == '<p id="live-1" class="x" live-region="live-1"><b>0</b></p>'
    assert page.refresh(count=1) == {"live-1": "<b>1</b>"}
    assert around.times == 1


def test_every_element_is_a_region(show: Show) -> None:
    for name in NAMES:
        assert show(f"{{% live as {name} %}}x{{% endlive %}}").html == (
            f'<{name} id="live-1" live-region="live-1">x</{name}>'
        )


@pytest.mark.parametrize(
    ("attributes", "shown"),
    [
        ('class="rows wide"', ' class="rows wide"'),
        ("class=word", ' class="&lt;&quot;a&quot;&gt;"'),
        ("class=word|upper", ' class="&lt;&quot;A&quot;&gt;"'),
        ("""data-x='{"a": 1}'""", ' data-x="{&quot;a&quot;: 1}"'),
        ("data-x=safe", ' data-x="&amp;&quot;<i>"'),
        ('title="Tom &amp; Jerry"', ' title="Tom &amp; Jerry"'),
        ("data-count=count", ' data-count="0"'),
        ("hidden", " hidden"),
        ("hidden=yes", " hidden"),
        ("hidden=no", ""),
        ("class=nothing", ""),
        ('aria-live="polite" dj-click="go(1, \'x\')"', ' aria-live="polite" dj-click="go(1, \'x\')"'),
        (
            '@click="open = !open" :class="x" x-on:click.away="y"',
            ' @click="open = !open" :class="x" x-on:click.away="y"',
        ),
        ('Class="x"', ' class="x"'),
    ],
)
def test_attributes_are_literals_or_variables_and_escaped(show: Show, attributes: str, shown: str) -> None:
    values: dict[str, Any] = {"word": '<"a">', "safe": mark_safe('&amp;"<i>'), "yes": True, "no": False}
    page = show(
        f"{{% autoescape off %}}{{% live as ul {attributes} %}}{{% endlive %}}{{% endautoescape %}}", **values
    )
    assert page.html == f'<ul id="live-1"{shown} live-region="live-1"></ul>'


def test_a_region_may_have_an_id_of_its_own(show: Show) -> None:
    page = show('{% live as ul id="list" %}{{ count }}{% endlive %}')
    assert page.html == '<ul id="list" live-region="live-1">0</ul>'
    assert page.refresh(count=1) == {"live-1": "1"}


def test_attributes_of_an_inline_region_follow_with_the_page(show: Show) -> None:
    page = show("{% live as ul class=word %}{{ count }}{% endlive %}", word="a")
    assert page.refresh(count=1) == {"live-1": "1"}
    assert page.refresh(word="b") == {"*": '<ul id="live-1" class="b" live-region="live-1">1</ul>'}
    assert page.refresh() == {}


def test_rows_in_a_loop_are_regions(show: Show) -> None:
    page = show('{% for x in "ab" %}{% live as tr class=x %}<td>{{ x }}{{ count }}{% endlive %}{% endfor %}')
    assert page.html == (
        '<tr id="live-1" class="a" live-region="live-1"><td>a0</tr>'
        '<tr id="live-1-2" class="b" live-region="live-1-2"><td>b0</tr>'
    )


def test_in_a_page_that_is_not_live_the_elements_are_there_and_no_regions(show: Show) -> None:
    source = '{% live as ul class="x" %}a{% endlive %}{% live "part" as p %}{% live %}b{% endlive %}'
    page = show("x", {"it": source})
    html = engines["django"].from_string('{% include "it" %}').render({"count": 5}, RequestFactory().get("/"))
    assert html == '<ul class="x">a</ul><p><b>5</b></p>b'
    assert page.html == "x"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% live as %}{% endlive %}", "as  .*one of these elements: a, address"),
        *(
            (f"{{% live as {name} %}}{{% endlive %}}", f"as {name} .*: a, .*tbody")
            for name in (
                "script",
                "style",
                "template",
                "title",
                "textarea",
                "iframe",
                "input",
                "img",
                "form",
                "TBODY",
                "x-y",
            )
        ),
        ('{% live "part" "other" as tbody %}', "at most one argument.*as tbody"),
        ('{% live as ul class="{{ word }}" %}{% endlive %}', "class=variable"),
        ("{% live as ul class= %}{% endlive %}", "class=variable"),
        ("{% live as ul 'x' %}{% endlive %}", "class=variable"),
        ('{% live as ul class="a" class="b" %}{% endlive %}', "class is there twice"),
        ("{% live as ul contenteditable %}{% endlive %}", "an element in it can"),
        ('{% live as ul dj-update="ignore" %}{% endlive %}', "an element in it can"),
        ('{% live as ul live-region="live-2" %}{% endlive %}', "an element in it can"),
        ("{% live as ul %}{% live as ul %}{% endlive %}{% endlive %}", "regions do not nest"),
        ('{% live "part" as ul %}{% endlive %}', "endlive"),
    ],
)
def test_wrong_use_is_told(show: Show, template: str, message: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=message):
        show(template)


def test_a_refresh_of_a_part_is_what_the_page_would_show(show: Show) -> None:
    page = show(
        '<table>{% live "it" as tbody class="x" %}</table>', {"it": "<tr><td>{{ count }}{{ forloop }}"}
    )
    changed = page.refresh(count=3)
    assert changed == render(page.view, "a-token").regions
