"""With DEBUG, an element of a template tag that browsers do not find where it stands is an error."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import pytest
from django.template import TemplateSyntaxError
from pytest_django import Settings

from djust_presence.live.nesting import HtmlReader
from tests.profiling import calls_of

from .showing import Show

LIVE = "{% live %}<i>{{ count }}</i>{% endlive %}"
PART = '{% live "part" %}'
CURSORS = "{% live_cursors %}<p></p>{% endlive_cursors %}"


@pytest.fixture(autouse=True)
def developing(settings: Settings) -> None:
    settings.DEBUG = True


@pytest.mark.parametrize("region", [LIVE, PART], ids=["inline", "part"])
@pytest.mark.parametrize(
    ("around", "message"),
    [
        (
            "<table>\n@</table>",
            "is inside <table>, where browsers take no <live-region>: write {% live as tbody %}",
        ),
        (
            "<table><tbody>\n@</tbody></table>",
            "inside <tbody>.* {% live as tbody %} in the place of the <tbody>",
        ),
        ("<TABLE><THEAD>\n@", "inside <thead>.* {% live as thead %}"),
        ("<table><tr><td>x<tr>\n@<td></table>", "inside <tr>.* {% live as tr %} in the place of the <tr>"),
        ("<table><colgroup>\n@</table>", "inside <colgroup>.* {% live as colgroup %}"),
        ("<select>\n@</select>", "inside <select>.* {% live as select %}"),
        ("<select><option>\n@</select>", "inside <select>.* {% live as select %}"),
        ("<svg>\n@</svg>", "inside <svg>.* {% live as g %}"),
        ("<svg><g>\n@</g></svg>", "inside <g>.* {% live as g %}"),
        ("<title>\n@</title>", "inside <title>.* without {% live %}"),
        ("<head>\n@</head>", "inside <head>.* without {% live %}"),
        ("<textarea>\n@</textarea>", "inside <textarea>.* put it around the <textarea>"),
        ("<script>\n@</script>", "inside <script>.* take it out"),
        ("<style>\n@</style>", "inside <style>.* take it out"),
        ("<noscript>\n@</noscript>", "inside <noscript>.* take it out"),
        ("<!-- \n@ -->", "inside a comment.*"),
        ('<p title="\n@">', "inside the tag of a <p>, in an attribute.* put it around the whole element"),
        ("<p class=\n@>", "inside the tag of a <p>, in an attribute"),
    ],
)
def test_a_region_where_no_element_can_stand_is_an_error(
    show: Show, around: str, message: str, region: str
) -> None:
    with pytest.raises(
        TemplateSyntaxError,
        match=rf"{{% live %}} at page:2 {message}" if message.startswith("is") else message,
    ) as raised:
        show(around.replace("@", region))
    assert str(raised.value).startswith("{% live %} at page:2 is inside ")


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (
            "<!doctype html><p>{% live %}<div>x</div>{% endlive %}</p>",
            "ends? its <live-region> too early, at <div>",
        ),
        ("<div>{% live %}</div><div>{% endlive %}</div>", "too early, at </div>"),
        ("{% live %}<p>x{% endlive %}<p>y</p>", "<p> in it is open: close that first"),
        ("{% live %}<div>{% endlive %}</div>", "<div> in it is open"),
        ("{% live %}x<!-- {% endlive %} -->", "in it is open"),
        ("<a>{% live %}<a>x</a>{% endlive %}</a>", "too early, at <a>"),
        (
            "{% live as p %}<ul></ul>{% endlive %}",
            "as p %} at page:1: browsers end its <p> too early, at <ul>",
        ),
        (
            "<div>{% live as tr %}<td>x{% endlive %}</div>",
            "as tr %} at page:1 is inside <body>.*part of a <table>",
        ),
        (
            "<div>{% live as g %}<rect/>{% endlive %}</div>",
            "as g %} at page:1 is inside <html>.*part of an <svg>",
        ),
        ("<table>{% live as div %}x{% endlive %}</table>", "as div %} at page:1 is inside <table>.*as tbody"),
        ("<svg>{% live as span %}x{% endlive %}</svg>", "inside <svg>, where browsers take no <span>"),
        (
            "<table>{% live as tbody %}Nobody{% endlive %}</table>",
            "move text out of its <tbody>.*into a cell",
        ),
        ("<table>{% live as tbody %}<p>x</p>{% endlive %}</table>", "move <p> out of its <tbody>"),
        (
            "<table>" + CURSORS + "</table>",
            "{% live_cursors %} at page:1 is inside <table>.* take no <live-cursors>",
        ),
        (
            '{% live %}<p title="' + CURSORS + '">{% endlive %}',
            "{% live_cursors %} at page:1 is inside the tag of a <p>",
        ),
        (
            "<!doctype html>\n<p>" + CURSORS + "</p>",
            "{% live_cursors %} at page:2: browsers end .*early, at <p>",
        ),
    ],
)
def test_a_torn_or_misplaced_element_is_an_error(show: Show, page: str, message: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=message):
        show(page)


@pytest.mark.parametrize(
    "page",
    [
        LIVE,
        "<p>" + LIVE + "</p>",
        "<p>x<div>" + LIVE + "</div>",
        "<div>{% live %}<ul><li>a<li>b</ul><table><tr><td>x<tr><td>y</table>{% endlive %}</div>",
        "<ul><li>a<li>" + LIVE + "<li>b</ul>",
        "<table><tr><td>a<td>" + LIVE + "<tr><td>b</table>",
        "<table><tr><td>a<template><tr><td></template><tr><td>" + LIVE + "</table>",
        "<table><caption>" + LIVE + "</caption><tr><td>x</table>",
        "<TABLE><TBODY><TR><TD>" + LIVE + "</TD></TR></TBODY></TABLE>",
        "<svg><foreignObject><div>" + LIVE + "</div></foreignObject></svg>",
        "<svg><title>x</title><style>a{}</style></svg>" + LIVE,
        "<svg/>" + LIVE,
        "<title>x</title>" + LIVE,
        "<!doctype html><html><head><title>x</title><body>" + LIVE,
        "<!doctype html><title>x</title><link rel=x>" + LIVE,
        "<html><head><script>if (a < b) { x = '<table>' }</script></head><body>" + LIVE + "</body></html>",
        "<!-- <table> -->" + LIVE,
        "<!--[if IE]><table><![endif]-->" + LIVE,
        '<p title="<table>">' + LIVE,
        "<p title='a > b' data-x=a\"b>" + LIVE,
        "<textarea><table></textarea>" + LIVE,
        "<a href=/a/b/>x</a>" + LIVE,
        "<datalist>{% live %}<option>x{% endlive %}</datalist>",
        "<button>" + LIVE + "</button>",
        "<table>{% live as tbody %}{% for x in 'ab' %}<tr><td>{{ x }}{% endfor %}{% endlive %}</table>",
        "<table>{% live as tr %}<td>x{% endlive %}<tr><td>y</table>",
        '<table><tbody>{% live "row" as tr class="x" %}</tbody></table>',
        "<table>{% live as tbody %}<!-- x --><tr><td><form></form>x</tr>{% endlive %}</table>",
        "<svg>{% live as g %}<rect/><text>x</text>{% endlive %}</svg>",
        "{% live as svg %}<rect/>{% endlive %}",
        "{% live as select %}<option>a<optgroup><option>b{% endlive %}",
        "{% live as ul %}<li>a<li>b{% endlive %}",
        "{% live as div %}<p>a{% endlive %}",
        "{% live %}<b>x</b><span>y{% endlive %}",
        "<b><p>" + LIVE + "</p></b>",
        CURSORS + "{% live %}" + CURSORS + "{% endlive %}",
        "<template><p></template>" + LIVE,
        "<form>" + LIVE + "<input></form>",
        "{% filter upper %}<table>" + LIVE + "</table>{% endfilter %}",  # what is altered is not looked for
        "a < b && c < d " + LIVE,
        "{% for x in 'ab' %}" + LIVE + "{% endfor %}{% if count %}" + LIVE + "{% endif %}",
    ],
)
def test_an_element_that_browsers_leave_in_place_is_no_error(show: Show, page: str) -> None:
    with calls_of(HtmlReader.read, "self") as read:
        show(page, {"row": "<td>{{ count }}"})
    assert len(read) == 1


def test_without_debug_nothing_is_read(show: Show, settings: Settings) -> None:
    settings.DEBUG = False
    with calls_of(HtmlReader.read, "self") as read:
        assert show("<table>" + LIVE + "</table>").first
    assert read == []


def test_a_page_is_read_once_and_again_with_other_regions(show: Show) -> None:
    page = show(
        "{% for x in 'abc'|slice:count %}"
        + LIVE
        + "{% endfor %}"
        + LIVE
        + "{% if count > 1 %}<table>"
        + LIVE
        + "</table>{% endif %}"
    )
    with calls_of(HtmlReader.read, "self") as read:
        page.refresh(count=1)
        assert len(read) == 1
        page.refresh(count=1, word="x")
        assert len(read) == 1
        with pytest.raises(TemplateSyntaxError, match="inside <table>"):
            page.refresh(count=2)
        with pytest.raises(TemplateSyntaxError, match="inside <table>"):
            page.refresh(count=2)
        assert len(read) == 3


def test_reading_takes_no_more_time_than_the_square_of_the_page() -> None:
    """With pieces that a careless pattern would try in every combination, and tags that do not end."""

    def seconds(times: int) -> float:
        html = (
            "<!-- a -->" * times
            + "<p "
            + "a=b " * times
            + "<p '"
            + "x" * times
            + "<" * times
            + "<p a=" * times
        )
        start = perf_counter()
        HtmlReader(html, []).read()
        return perf_counter() - start

    assert median(seconds(800) / seconds(100) for _ in range(5)) < 8**2 * 4
