"""The whiteboard of the example project: strokes, their viewers, and strokes that are refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.live_pages import LivePage, Person
from tests.servers import SiteServer

LINE = [100, 200, 300, 400]


@pytest.fixture(scope="module")
def site() -> Iterator[SiteServer]:
    with SiteServer() as server:
        server.allow(r"A frame for '/whiteboard/.+' was refused")
        yield server


class Board(LivePage):
    """Somebody's page of a whiteboard."""

    async def code(self, name: str, **params: Any) -> str | None:
        """Call an event handler, and return the code of its error, or None."""
        code: str | None = (await self.call(name, **params)).get("code")
        return code

    async def draw(self, points: object = LINE, *, width: object = 6, token: object = None) -> str | None:
        return await self.code("draw", token=token or uuid4().hex, width=width, points=points)

    @property
    def strokes(self) -> list[Any]:
        """The points of each stroke on the board, by this page's frames."""
        erased = [number for payload in self.heard("erased") for number in payload["ids"]]
        kept = {one["id"]: one["points"] for one in self.heard("stroke") if one["id"] not in erased}
        return list(kept.values())

    @property
    def loaded(self) -> list[tuple[str, str]]:
        """The colour and points of each stroke in the page as it was loaded."""
        return re.findall(r'<path data-id="\d+" data-points="([\d,]+)" color="(#\w+)"', self.html)

    async def compare(self, have: str = "") -> Any:
        before = len(self.heard("strokes"))
        assert await self.code("compare", have=have) is None
        return self.heard("strokes")[before]

    @property
    def colors(self) -> list[str]:
        """Of those who are here, as they stand in the page's HTML."""
        return re.findall(r'class="face" data-presence-color="(#\w+)"', "".join(self.regions.values()))

    @property
    def names(self) -> list[str]:
        return re.findall(r'class="person-name">(.*?)<', "".join(self.regions.values()))


@pytest.fixture
async def board(site: SiteServer, request: pytest.FixtureRequest) -> AsyncIterator[list[Board]]:
    """The pages of Ada and of a guest at a whiteboard of this test alone."""
    name = re.sub(r"\W", "-", request.node.name)[:50]
    path = f"/whiteboard/{name}/"
    async with Board(site, path, Person(site, "ada")) as ada, Board(site, path, Person(site)) as guest:
        for page in (ada, guest):
            await page.until(lambda page=page: len(page.colors) == 2)  # type: ignore[misc]
        yield [ada, guest]


async def test_everybody_at_the_board_sees_a_stroke_and_nobody_at_another(
    site: SiteServer, board: list[Board]
) -> None:
    ada, guest = board
    async with Board(site, "/whiteboard/elsewhere/", Person(site, "grace")) as elsewhere:
        await ada.draw([1, 2])
        await guest.draw("3,4,5,6")  # as it comes from an attribute
        for page in (ada, guest):
            await page.until(lambda page=page: page.strokes == [[1, 2], [3, 4, 5, 6]])  # type: ignore[misc]
        await elsewhere.draw([7, 8])
        await elsewhere.until(lambda: elsewhere.strokes == [[7, 8]])
    assert len(ada.strokes) == 2


async def test_a_stroke_has_the_colour_of_its_person(board: list[Board]) -> None:
    ada, guest = board
    await ada.draw()
    await guest.draw()
    await guest.until(lambda: len(guest.strokes) == 2)
    assert [one["color"] for one in guest.heard("stroke")] == guest.colors


async def test_a_stroke_is_not_rendered_again_for_those_who_are_here(board: list[Board]) -> None:
    ada, guest = board
    frames = len(guest.frames)
    await ada.draw()
    await guest.until(lambda: guest.strokes)
    assert [frame["type"] for frame in guest.frames[frames:]] == ["event"]
    assert not any("<path" in str(frame) for frame in ada.frames + guest.frames)


async def test_strokes_are_there_for_visitors_who_come_later(site: SiteServer, board: list[Board]) -> None:
    ada, _ = board
    await ada.draw([1, 2, 3, 4], width=32)
    async with Board(site, ada.path, Person(site, "grace")) as late:
        assert late.loaded == [("1,2,3,4", ada.colors[0])]


async def test_others_see_a_stroke_grow_and_nothing_of_it_is_kept(board: list[Board]) -> None:
    ada, guest = board
    token = uuid4().hex
    for at in (0, 2):
        assert await ada.code("sketch", token=token, width=6, at=at, points=LINE) is None
    await guest.until(lambda: len(guest.heard("sketch")) == 2)
    assert [(one["token"], one["at"], one["points"]) for one in guest.heard("sketch")] == [
        (token, 0, LINE),
        (token, 2, LINE),
    ]
    assert await ada.code("drop", token=token) is None
    await guest.until(lambda: guest.heard("dropped") == [{"token": token}])
    assert await guest.compare() == {"ids": [], "strokes": []}


async def test_a_stroke_that_is_sent_twice_is_drawn_once(board: list[Board]) -> None:
    ada, guest = board
    token = uuid4().hex
    await ada.draw([1, 2], token=token)
    await ada.draw([1, 2], token=token)
    await guest.draw([3, 4], token=token)  # another person's stroke is another stroke
    compared = await guest.compare()
    assert [stroke["points"] for stroke in compared["strokes"]] == [[1, 2], [3, 4]]


async def test_a_page_that_comes_back_catches_up(board: list[Board]) -> None:
    ada, guest = board
    for number in range(3):
        await ada.draw([number, number])
    await guest.until(lambda: len(guest.strokes) == 3)
    first, second, third = (stroke["id"] for stroke in guest.heard("stroke"))
    await ada.call("undo")
    compared = await guest.compare(f"{second},{third}")
    assert compared["ids"] == [first, second]
    assert [stroke["id"] for stroke in compared["strokes"]] == [first]


async def test_undo_takes_ones_own_last_stroke_away(board: list[Board]) -> None:
    ada, guest = board
    await ada.draw([1, 1])
    await ada.draw([2, 2])
    await guest.draw([3, 3])
    for left in ([[1, 1], [3, 3]], [[3, 3]], [[3, 3]]):
        await ada.call("undo")
        await guest.until(lambda left=left: guest.strokes == left)  # type: ignore[misc]


async def test_clearing_the_board_is_told_with_a_name(site: SiteServer, board: list[Board]) -> None:
    ada, guest = board
    async with Board(site, "/whiteboard/untouched/", Person(site, "grace")) as untouched:
        await untouched.draw()
        await ada.draw()
        await guest.draw()
        await guest.call("clear")
        await ada.until(lambda: ada.heard("cleared"))
        assert ada.strokes == []
        (cleared,) = ada.heard("cleared")
        assert (cleared["name"], cleared["color"]) in [*zip(ada.names, ada.colors, strict=True)][1:]
        await guest.call("clear")  # clearing an empty board is not announced
        assert len((await untouched.compare())["ids"]) == 1
    assert len(guest.heard("cleared")) == 1


@pytest.mark.parametrize(
    ("points", "code"),
    [
        ([], None),
        ([1], None),
        ([1, 2, 3], None),
        ([-1, 2], None),
        ([1, 1281], None),
        ([1601, 2], None),
        ([1, 2] * 501, None),
        ([1, 10**400], None),
        ([1, 2.5], "bad-arguments"),
        ([1, None], "bad-arguments"),
        ([1, [2]], "bad-arguments"),
        ({"0": 1}, "bad-arguments"),
        ("1,NaN", "bad-arguments"),
        ("1,1e3", "bad-arguments"),
        ("1,2,<b>", "bad-arguments"),
    ],
    ids=str,
)
async def test_a_value_that_is_not_a_stroke_is_not_drawn(
    board: list[Board], points: object, code: str | None
) -> None:
    ada, guest = board
    assert await ada.draw(points) == code
    assert await ada.code("sketch", token=uuid4().hex, width=6, at=0, points=points) == code
    await ada.draw([0, 0, 1600, 1280])
    await guest.until(lambda: guest.strokes)
    assert guest.strokes == [[0, 0, 1600, 1280]]
    assert guest.heard("sketch") == []


async def test_a_stroke_has_one_of_the_widths_and_a_token(board: list[Board]) -> None:
    ada, guest = board
    for width in (0, 7, -6, 10**30):
        assert await ada.draw(width=width) is None
    assert await ada.draw(width="broad") == "bad-arguments"
    assert await ada.draw(token="mine") == "bad-arguments"
    assert await ada.draw([1, 1] * 500, width=14) is None
    await guest.until(lambda: guest.strokes)
    assert guest.strokes == [[1, 1] * 500]


async def test_the_oldest_strokes_of_a_full_board_go(site: SiteServer, board: list[Board]) -> None:
    ada, guest = board
    name = ada.path.split("/")[2]
    site.manage(
        "shell",
        "--no-imports",
        "--command",
        "from demo.models import Stroke; from uuid import uuid4; Stroke.objects.bulk_create("
        f"Stroke(board={name!r}, sender='x', token=uuid4(), color='#000000', width=6, points=[1, 1]) "
        "for _ in range(Stroke.MOST_STROKES))",
    )
    before = (await guest.compare())["ids"]
    await ada.draw()
    await guest.until(lambda: guest.heard("erased"))
    assert guest.heard("erased") == [{"ids": before[:1]}]
    after = (await guest.compare(",".join(map(str, before))))["ids"]
    assert after[:-1] == before[1:]


async def test_a_visitor_who_reloads_keeps_the_colour(site: SiteServer, board: list[Board]) -> None:
    ada, guest = board
    colors = guest.colors
    await ada.close()
    await ada.open()
    await ada.until(lambda: len(ada.colors) == 2)
    assert ada.colors == guest.colors == colors
