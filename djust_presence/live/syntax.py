"""HTML as browsers read it: its tags, and the elements that end when others begin or end.

As in https://html.spec.whatwg.org/multipage/parsing.html, without frames.
"""

from __future__ import annotations

import re

__all__ = [
    "BLOCKS",
    "BREAKOUT",
    "CELLS",
    "CLOSES_P",
    "FORMATTING",
    "GROUPS",
    "HEADINGS",
    "INTEGRATION",
    "IN_HEAD",
    "MARKERS",
    "PARTS",
    "SCOPES",
    "SPECIAL",
    "TABLE",
    "TEXT_ONLY",
    "TOKEN",
    "VOID",
    "words",
]

_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s"'>][^\s>]*)"""
_ATTRIBUTES = rf"(?>[\s/]*+[^\s/>][^\s/>=]*+(?:\s*+=\s*+{_VALUE}?+)?+)*+[\s/]*+"
# A comment, or a tag: the slash of an end tag, the name, the attributes.
TOKEN = re.compile(
    rf"<!--(?:>|->|.*?(?:--!?>|\Z))|<[!?][^>]*>|</[^a-zA-Z>][^>]*>|<(/?)([a-zA-Z][^\s/>]*+)({_ATTRIBUTES})>",
    re.DOTALL,
)


def words(names: str) -> frozenset[str]:
    return frozenset(names.split())


TEXT_ONLY = words("title textarea style script xmp iframe noembed noframes noscript plaintext")
VOID = words("area base br col embed hr img input link meta param source track wbr")
IN_HEAD = words("base basefont bgsound link meta noframes noscript script style template title")
GROUPS = words("tbody thead tfoot")
CELLS = words("td th")
TABLE = GROUPS | words("table colgroup tr")  # elements whose only children are parts of a table
# Parts of a table, and the elements that each may stand in.
PARTS = {
    **dict.fromkeys(GROUPS | words("caption colgroup"), words("table")),
    "col": words("colgroup"),
    "tr": GROUPS,
    **dict.fromkeys(CELLS, GROUPS | words("tr")),
}
HEADINGS = words("h1 h2 h3 h4 h5 h6")
FORMATTING = words("a b big code em font i nobr s small strike strong tt u")
BLOCKS = words(
    """
    address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer header hgroup
    listing main menu nav ol pre search section summary ul
    """
)
CLOSES_P = BLOCKS | HEADINGS | words("dd dt form hr li p plaintext table xmp")
SCOPES = words(
    "applet caption html marquee object select table td template th"
)  # searches for an open element stop at these
MARKERS = SCOPES - words("html select table")
SPECIAL = (BLOCKS | HEADINGS | SCOPES | TABLE | TEXT_ONLY | VOID | words("button dd dt form li p")) - {
    "dialog"
}
# HTML again, which ends an SVG or a formula around it.
BREAKOUT = HEADINGS | words(
    """
    b big blockquote body br center code dd div dl dt em embed head hr i img li listing menu meta nobr ol p pre ruby s
    small span strong strike sub sup table tt u ul var
    """
)
# Elements in which HTML is allowed.
INTEGRATION = words("annotation-xml foreignobject desc title mi mn mo ms mtext")
