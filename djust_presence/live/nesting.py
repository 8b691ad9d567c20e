"""A check that browsers find each printed element of a page in its place, with its content in it."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from .stack import Begun, Open, Printed, Stack
from .syntax import (
    BLOCKS,
    BREAKOUT,
    CELLS,
    CLOSES_P,
    FORMATTING,
    GROUPS,
    HEADINGS,
    IN_HEAD,
    MARKERS,
    PARTS,
    SCOPES,
    SPECIAL,
    TABLE,
    TEXT_ONLY,
    TOKEN,
    VOID,
)

__all__ = ["Fault", "HtmlReader"]

NOTHING: frozenset[str] = frozenset()
IN_SVG = frozenset({"a", "g", "svg"})  # of the elements that may be regions


class Fault(NamedTuple):
    """An element that browsers do not find where it was printed."""

    printed: Printed
    inside: str = ""  # the element, attribute or comment that it is a part of
    ended: str = ""  # the tag that has ended it early
    unclosed: str = ""  # the element in it that does not let it end
    moved: str = ""  # the content that is moved out of it, and of the table


class HtmlReader(Stack):
    """Reads *html* and finds the faults of what was *printed* in it."""

    def __init__(self, html: str, printed: Collection[Printed]) -> None:
        super().__init__()
        self.html = html
        self.waiting = sorted(printed)
        self.faults: list[Fault] = []
        self.begun: list[Begun] = []
        self.in_head = False
        self.broke_head: Printed | None = None
        self.now: Printed | None = None  # the printed element whose start tag is being read
        self.quirks = not re.match(r"(?>\s+|<!--.*?-->)*+<!doctype", html, re.IGNORECASE | re.DOTALL)

    def read(self) -> None:
        position = 0
        while match := TOKEN.search(self.html, position):
            if self.top in TABLE and self.html[position : match.start()].strip():
                self.move_out("text")
            self.at, position = match.span()
            self.now = self.waiting.pop(0) if self.waiting and self.waiting[0].start == self.at else None
            name = (match[2] or "").lower()
            if match[1]:
                self._hide(position, "a tag")
                self.end(name)
                self._check_end()
            elif name:
                self._hide(position, f"the tag of a <{name}>, in an attribute")
                foreign = self.is_foreign
                self.start(name, match[3])
                if name in TEXT_ONLY and not foreign:
                    end = re.compile(rf"</{name}[\s/>]", re.IGNORECASE).search(self.html, position)
                    position = end.start() if end and name != "plaintext" else len(self.html)
                    self._hide(position, f"<{name}>")
            else:
                if match[0].startswith("<![CDATA[") and self.is_foreign:
                    position = self.html.find("]]>", self.at) + 3 or len(self.html)
                self._hide(position, "a comment")
        self._hide(len(self.html), "a tag that does not end")
        self.at = len(self.html)
        self._check_end()

    def _hide(self, until: int, inside: str) -> None:
        while self.waiting and self.waiting[0].start < until:
            self.faults.append(Fault(self.waiting.pop(0), inside))

    def _check_end(self) -> None:
        """Check the elements that should have ended at this place."""
        for element in [one for one in self.begun if one.printed.end <= self.at]:
            self.begun.remove(element)
            if element.ended is None:
                self.faults.append(Fault(element.printed, unclosed=f"<{self.stack[-1].name}>"))
            elif element.ended < element.printed.end:
                tag = TOKEN.match(self.html, element.ended)
                assert tag
                self.faults.append(Fault(element.printed, ended=f"<{tag[1]}{tag[2]}>"))

    # Elements begin

    def push(self, name: str, foreign: bool = False) -> None:
        element = Begun(name, foreign, self.now) if self.now else Open(name, foreign)
        if isinstance(element, Begun):
            self.begun.append(element)
        self.stack.append(element)

    def misplaced(self, inside: str) -> None:
        if self.now:
            self.faults.append(Fault(self.now, f"<{inside}>" if inside else ""))
            self.now = None

    # Start tags

    def start(self, name: str, attributes: str) -> None:
        if self.is_foreign:
            if name not in BREAKOUT:
                if name not in IN_SVG:
                    self.misplaced(self.stack[-1].name)
                if not attributes.endswith("/"):
                    self.push(name, foreign=True)
                return
            self.misplaced(self.stack[-1].name)
            while self.is_foreign:
                self.pop(len(self.stack) - 1)
        if name in {"html", "head", "body", "frame", "frameset"}:
            self.in_head = name == "head"
            return
        if self.in_head and name not in IN_HEAD:
            self.in_head = False
            self.broke_head = self.now
        if self.mode == "select" and self.start_in_select(name):
            return
        if name in PARTS:
            self.start_part(name)
        elif not self.start_in_table(name):
            self.start_in_body(name, attributes)

    def start_in_select(self, name: str) -> bool:
        """Return False if the tag has ended the select, and is still to be handled."""
        is_part = name in PARTS or name == "table"
        if name in {"input", "keygen", "select", "textarea"} or (
            is_part and self.find({"table"}, NOTHING) is not None
        ):
            self.misplaced("select")
            self.pop(self.find({"select"}, NOTHING))
            return name == "select"
        if name not in {"option", "optgroup", "hr", "script", "style", "template"}:
            self.misplaced("select")
            return True
        if name in {"option", "optgroup", "hr"} and self.top == "option":
            self.pop(len(self.stack) - 1)
        if name in {"optgroup", "hr"} and self.top == "optgroup":
            self.pop(len(self.stack) - 1)
        if name not in VOID:
            self.push(name)
        return True

    def start_part(self, name: str) -> None:
        if self.find({"table", "template"}, NOTHING) is None:
            self.misplaced("body")
            return
        while self.top not in PARTS[name] | {"table", "template"}:
            if self.stack[-1].foreign:
                self.misplaced(self.stack[-1].name)
            self.pop(len(self.stack) - 1)
        if self.top == "table":
            if name in {"tr", *CELLS}:
                self._imply("tbody")
            elif name == "col":
                self._imply("colgroup")
        if self.top in GROUPS and name in CELLS:
            self._imply("tr")
        if name != "col":
            self.push(name)

    def _imply(self, name: str) -> None:
        now, self.now = self.now, None
        self.push(name)
        self.now = now

    def start_in_table(self, name: str) -> bool:
        """Return False if the element is still to begin: in the body, in a cell, or before the table."""
        mode = self.mode
        if mode not in TABLE or (self.top not in TABLE and name != "table"):
            return False
        if name not in {"script", "style", "template", "form", "input"}:
            self.misplaced(mode)
            self.move_out(f"<{name}>")
        if self.top == "colgroup":
            self.pop(len(self.stack) - 1)
        if name == "table":
            self.pop(self.find({"table"}, NOTHING))
        return name == "form"

    def move_out(self, content: str) -> None:
        """Note content that browsers move in front of the table around it."""
        table = self.find({"table"}, NOTHING) or 0
        for element in self.stack[table:]:
            if isinstance(element, Begun):
                self.faults.append(Fault(element.printed, moved=content))

    def start_in_body(self, name: str, attributes: str) -> None:
        if name == "form" and self.find({"form"}, {"template"}) is not None:
            return
        if name in CLOSES_P and not (name == "table" and self.quirks):
            self.pop(self.find({"p"}, SCOPES | {"button"}))
        if name in HEADINGS and self.top in HEADINGS:
            self.pop(len(self.stack) - 1)
        if name in {"li", "dd", "dt"}:
            self.pop(self.find({"li"} if name == "li" else {"dd", "dt"}, SPECIAL - {"address", "div", "p"}))
        if name in {"option", "optgroup"} and self.top == "option":
            self.pop(len(self.stack) - 1)
        if name == "button":
            self.pop(self.find({"button"}))
        if name in {"a", "nobr"}:
            self.end_formatting(name)
        if name == "g":
            self.misplaced("html")
        foreign = name in {"svg", "math"}
        if name not in VOID and not (foreign and attributes.endswith("/")):
            self.push(name, foreign)

    # End tags

    def end(self, name: str) -> None:
        for index in range(len(self.stack) - 1, -1, -1):
            if not self.stack[index].foreign:
                break
            if self.stack[index].name == name:
                self.pop(index)
                return
        while name in {"br", "p"} and self.is_foreign:
            self.pop(len(self.stack) - 1)
        if name == "head":
            if self.broke_head:
                self.faults.append(Fault(self.broke_head, "<head>"))
            self.in_head, self.broke_head = False, None
        elif name in {"html", "body", "br"}:
            pass
        elif name in PARTS or name == "table":
            self.pop(self.find({name}, {"table", "template"}))
        elif self.mode == "select" and name not in {"option", "optgroup", "select", "template"}:
            pass
        elif name == "template":
            self.pop(self.find({name}, NOTHING))
        elif name == "select":
            self.pop(self.find({name}, {"table", "template"}))
        elif name == "form":
            form = self.find({name})
            self.pop(form, None if form is None else form + 1)
        elif name in HEADINGS:
            self.pop(self.find(HEADINGS))
        elif name == "p":
            self.pop(self.find({name}, SCOPES | {"button"}))
        elif name == "li":
            self.pop(self.find({name}, SCOPES | {"ol", "ul"}))
        elif name in BLOCKS | {"button", "dd", "dt", "applet", "marquee", "object"}:
            self.pop(self.find({name}))
        elif name not in FORMATTING or not self.end_formatting(name):
            self.pop(self.find({name}, SPECIAL))

    def end_formatting(self, name: str) -> bool:
        """End a formatting element; special elements inside it stay open, others end. Return whether it was open."""
        index = self.find({name}, MARKERS)
        if index is None:
            return False
        ended = self.stack[index]
        inner = (at for at in range(index, len(self.stack)) if self.stack[at].name in SPECIAL)
        until = next(inner, None)
        self.pop(index, until)
        if until is not None:
            ended.ended = None
        return True
