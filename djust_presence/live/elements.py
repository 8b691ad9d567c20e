"""The elements that a live region may be, with their attributes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString

from .syntax import words

__all__ = ["NAMES", "PLAIN", "REFUSED", "REGION", "Element"]

REGION = "live-region"  # the name of the element, or of the attribute that marks one

# Without elements whose content is only text, is not part of the page, or is patched in a special way.
NAMES = words(
    """
    a address article aside b blockquote button caption code colgroup datalist dd details div dl dt em fieldset
    figcaption figure footer g h1 h2 h3 h4 h5 h6 header hgroup i label li main menu nav ol optgroup output p pre
    search section select small span strong summary svg table tbody td tfoot th thead time tr ul
    """
)
# Attributes that make the patcher leave an element, or the text in it, to scripts or persons.
REFUSED = frozenset({REGION, "contenteditable", "dj-update"})


class Element(NamedTuple):
    """The element of a region. An attribute that is True has no value, one that is None or False is left out."""

    name: str = REGION
    attributes: Mapping[str, object] = {}

    def start(self, region: str | None) -> SafeString:
        """Return its start tag, with the id *region* unless it has an id of its own; None: it is not a region."""
        if region is not None and self.name == REGION and not self.attributes:
            return _plain(region)
        attributes = dict(self.attributes)
        if region is not None:
            own = {} if self.name == REGION else {REGION: region}
            attributes = {"id": region, **attributes, **own}
        return format_html("<{}{}>", self.name, SafeString("".join(map(_markup, attributes.items()))))

    @property
    def tag(self) -> str:
        """The template tag that prints it."""
        return "{% live %}" if self.name == REGION else f"{{% live as {self.name} %}}"

    @property
    def end(self) -> SafeString:
        return SafeString(f"</{self.name}>")  # one of a few names


PLAIN = Element()


@lru_cache(maxsize=1024)
def _plain(region: str) -> SafeString:
    """Return the start tag of a region without an element given by the template."""
    return format_html('<{} id="{}">', REGION, region)


def _markup(attribute: tuple[str, Any]) -> str:
    name, value = attribute
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    # A text literal of a template is safe, but may contain this quote.
    return f' {name}="{conditional_escape(value).replace(chr(34), "&quot;")}"'
