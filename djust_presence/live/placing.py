"""Errors with DEBUG: elements of template tags that stand where browsers do not accept them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

from django.template import Template, TemplateSyntaxError

from .elements import REGION
from .nesting import Fault, HtmlReader
from .stack import Printed
from .syntax import TOKEN

__all__ = ["Tagged", "check_page", "content_of"]

# The cure for a region inside of these.
CURES = {
    "<table>": "write {% live as tbody %}",
    "<colgroup>": "write {% live as colgroup %} in the place of the <colgroup>",
    "<tbody>": "write {% live as tbody %} in the place of the <tbody>",
    "<thead>": "write {% live as thead %} in the place of the <thead>",
    "<tfoot>": "write {% live as tfoot %} in the place of the <tfoot>",
    "<tr>": "write {% live as tr %} in the place of the <tr>",
    "<select>": "write {% live as select %} in the place of the <select>",
    "<svg>": "write {% live as g %}",
    "<g>": "write {% live as g %}",
    "<body>": "it is a part of a <table>",
    "<html>": "it is a part of an <svg>",
    "<textarea>": "put it around the <textarea>",
    "<title>": "a page without {% live %} is live as a whole, with its title",
    "<head>": "a page without {% live %} is live as a whole, with its title",
}

_checked: WeakKeyDictionary[Template, set[frozenset[object]]] = WeakKeyDictionary()


class Tagged(NamedTuple):
    """The html of an element that *tag* has printed at *place*: its start tag, its content, its end tag."""

    tag: str
    place: object
    start: str
    content: str
    end: str

    def find(self, html: str) -> Iterator[Printed]:
        """Yield the places of the element in *html*; none if the template has altered it since."""
        whole = self.start + self.content + self.end
        at = html.find(whole)
        while at >= 0:
            yield Printed(at, at + len(whole) - len(self.end), self.end[2:-1])
            at = html.find(whole, at + len(self.start))


def check_page(template: Template, tagged: Sequence[Tagged], html: str) -> None:
    """Raise ``TemplateSyntaxError`` if browsers do not find an element where it is in *html*.

    The page of a *template* is read once, and again when other tags have printed in it.
    """
    places = frozenset(one.place for one in tagged)
    checked = _checked.setdefault(template, set())
    if places in checked:
        return
    printed = {at: one for one in tagged for at in one.find(html)}
    reader = HtmlReader(html, printed)
    reader.read()
    if reader.faults:
        fault = min(reader.faults)
        raise TemplateSyntaxError(_describe(fault, printed[fault.printed]))
    checked.add(places)


def _describe(fault: Fault, tagged: Tagged) -> str:
    where = f"{tagged.tag} at {tagged.place}"
    element = f"<{fault.printed.name}>"
    if fault.ended:
        return (
            f"{where}: browsers end its {element} too early, at {fault.ended}, as that ends an element around it: close "
            "what is opened in there, and nothing else, in elements that may contain each other."
        )
    if fault.unclosed:
        return f"{where}: browsers do not end its {element} there, as {fault.unclosed} in it is open: close that first."
    if fault.moved:
        return (
            f"{where}: browsers move {fault.moved} out of its {element}, and out of the table around it: put that into "
            "a cell."
        )
    if tagged.tag == "{% live_cursors %}":
        cure = "put it around a whole element, where a <div> could stand"
    elif fault.inside.startswith("<"):
        cure = CURES.get(fault.inside, "take it out")
    else:
        cure = "put it around the whole element"
    return f"{where} is inside {fault.inside}, where browsers take no {element}: {cure}."


def content_of(html: str, region: str) -> slice | None:
    """Return the slice of *html* that is the content of *region*."""
    for tag in TOKEN.finditer(html):
        is_plain = tag[2] == REGION and tag[3] == f' id="{region}"'
        if is_plain or (tag[3] or "").endswith(f' {REGION}="{region}"'):
            break
    else:
        return None
    reader = HtmlReader(html, [Printed(tag.start(), len(html) + 1, tag[2])])
    reader.read()
    ended = [element.ended for element in reader.begun if element.ended is not None]
    return slice(tag.end(), ended[0] if ended else html.index(f"</{tag[2]}>", tag.end()))
