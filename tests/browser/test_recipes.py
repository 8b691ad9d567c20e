"""The recipes for pages, built to the letter on one server, as people see them."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Locator, Page, expect

from tests.browser.conftest import NewPage
from tests.feed.tag_page import TagPage
from tests.mysite import PASSWORD, Member, Mysite
from tests.recipes import RECIPES, SIGN_UP, cooked

PAGES = ("on-every-page", "typing-and-away", "invisible")
TOUCHED = "(ago) => (localStorage.touched = Date.now() - ago)"
LATE = "() => { window.inTime = setTimeout; setTimeout = () => 0; }"  # as the timers of a hidden tab
HEAR = """
() => {
  window.heard = [];
  const room = window.djustPresence.attach(document.querySelector("presence-avatars").getAttribute("room"));
  room.on("event", ({ payload }) => window.heard.push(payload));
  room.on("update", ({ status }) => window.heard.at(-1) === status || window.heard.push(status));
}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mysite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mysite]:
    settings = '\nDJUST_PRESENCE = {"GRACE": 0.5}\n'
    with cooked(tmp_path_factory.mktemp("recipes"), *PAGES, settings=settings) as site:
        site.run("manage.py", "shell", "-c", SIGN_UP)
        yield site


@pytest.fixture(scope="module")
def people(mysite: Mysite) -> dict[str, Member]:
    return {name: Member(mysite, name) for name in ("ada", "grace")}


@pytest.fixture(autouse=True)
def without_icon(new_page: NewPage) -> None:
    new_page.allow("favicon")


async def show(page: Page, mysite: Mysite, path: str, member: Member | None = None) -> Page:
    """Open *path*, as *member* unless the context is of somebody already; return when it is connected."""
    if member:
        key = member.session_key or ""
        await page.context.add_cookies([{"name": "sessionid", "value": key, "url": mysite.url}])
    await page.goto(mysite.url + path)
    await expect(page.locator("html[data-presence-feed=live], html[data-presence-state=live]")).to_have_count(
        1
    )
    return page


async def tab(context: BrowserContext, new_page: NewPage, mysite: Mysite, path: str) -> Page:
    return await show(await new_page(context), mysite, path)


async def test_every_page_has_the_number_and_a_list_has_dots(
    mysite: Mysite, people: dict[str, Member], new_page: NewPage
) -> None:
    guest = await show(await new_page(), mysite, "/team/")
    count = guest.locator("presence-count")
    dots = guest.locator("presence-dot[online]")
    await expect(count).to_have_text("1", timeout=20_000)  # when the pages of other tests are gone
    await expect(guest.locator("presence-dot")).to_have_count(2)
    await expect(dots).to_have_count(0)
    ada = await show(await new_page(), mysite, "/notes/1/", people["ada"])
    second = await tab(ada.context, new_page, mysite, "/team/")
    await expect(count).to_have_text("2")
    await expect(dots).to_have_attribute("aria-label", "online")
    await expect(guest.locator("li", has=dots)).to_have_text(["ada"])
    await ada.close()
    grace = await show(await new_page(), mysite, "/team/", people["grace"])
    await expect(count).to_have_text("3")
    await second.close()
    await expect(guest.locator("li", has=dots)).to_have_text(["grace"])
    await expect(grace.locator("presence-count")).to_have_text("2")
    await new_page.close()


def face(page: Page, name: str) -> Locator:
    return page.locator(f".presence-avatar[title={name}]")


async def test_somebody_is_typing_until_they_stop(
    mysite: Mysite, people: dict[str, Member], new_page: NewPage
) -> None:
    grace = await show(await new_page(), mysite, "/notes/1/", people["grace"])
    ada = await show(await new_page(), mysite, "/notes/1/", people["ada"])
    other_tab = await tab(ada.context, new_page, mysite, "/notes/1/")
    await expect(face(ada, "grace")).to_have_count(1)
    await expect(face(grace, "ada")).to_have_count(1)
    await ada.locator("textarea").press_sequentially("Well")
    note = grace.locator("#typing")
    await expect(note).to_have_text("ada is typing…")
    await grace.locator("textarea").press_sequentially("No")
    await expect(ada.locator("#typing")).to_have_text("grace is typing…")
    await expect(other_tab.locator("#typing")).to_have_text("grace is typing…")
    await ada.get_by_role("button").focus()
    await expect(note).to_have_text("")
    await grace.close()
    await expect(ada.locator("#typing")).to_have_text("")
    await new_page.close()


async def test_whoever_is_cut_off_while_typing_is_soon_not_shown_as_typing(
    mysite: Mysite, people: dict[str, Member], new_page: NewPage
) -> None:
    ada = await new_page()
    await ada.clock.install()
    await show(ada, mysite, "/notes/2/", people["ada"])
    note = ada.locator("#typing")
    async with TagPage(mysite, "/notes/2/", people["grace"]) as typist:
        await expect(face(ada, "grace")).to_have_count(1)
        await ada.evaluate(HEAR)
        (room,) = re.findall('<presence-avatars room="([^"]+)"', typist.html)
        await typist.send(type="send", room=room, event="typing", payload=True)
        await expect(note).to_have_text("grace is typing…")
        await ada.clock.fast_forward(4_000)
        await typist.send(type="send", room=room, event="typing", payload=True)
        await ada.wait_for_function("() => window.heard.length === 2")
        await ada.clock.fast_forward(4_000)
        await expect(note).to_have_text("grace is typing…")
        typist.abort()
        await ada.clock.fast_forward(2_100)
        await expect(note).to_have_text("")
        await expect(face(ada, "grace")).to_have_count(1)  # whose connection may come back yet
    await new_page.close()


async def test_the_face_of_who_touches_none_of_their_tabs_fades(
    mysite: Mysite, people: dict[str, Member], new_page: NewPage
) -> None:
    grace = await show(await new_page(), mysite, "/notes/3/", people["grace"])
    ada = await show(await new_page(), mysite, "/notes/3/", people["ada"])
    other_tab = await tab(ada.context, new_page, mysite, "/notes/3/")
    third_tab = await tab(ada.context, new_page, mysite, "/team/")
    status = face(grace, "ada")
    await expect(status).to_have_attribute("data-status", "active")
    await grace.evaluate(HEAR)
    over = await third_tab.evaluate(TOUCHED, 296_000) + 300_000
    await other_tab.keyboard.press("Shift")
    await ada.wait_for_function("over => Date.now() > over + 100", arg=over)
    await ada.locator("textarea").fill("No key")
    await expect(grace.locator("#typing")).to_have_text("ada is typing…")
    await other_tab.evaluate(LATE)
    await third_tab.evaluate(TOUCHED, 299_500)
    await expect(status).to_have_attribute("data-status", "away")
    await expect(status).to_have_css("opacity", "0.4")
    await expect(face(other_tab, "ada")).to_have_attribute("data-status", "away")
    await other_tab.evaluate("() => (setTimeout = inTime)")
    await other_tab.locator("textarea").fill("No key")
    await grace.wait_for_function("() => heard.length > 2")
    assert await grace.evaluate("heard") == [True, "away", True]
    await other_tab.keyboard.press("Shift")
    await expect(status).to_have_attribute("data-status", "active")
    assert await grace.evaluate("heard") == [True, "away", True, "active"]
    await new_page.close()


async def test_a_device_that_is_in_use_contradicts_one_that_is_idle(
    mysite: Mysite, people: dict[str, Member], new_page: NewPage
) -> None:
    await show(await new_page(), mysite, "/notes/4/", people["ada"])
    async with TagPage(mysite, "/notes/4/", people["ada"]) as phone:
        (room,) = re.findall('<presence-avatars room="([^"]+)"', phone.html)

        def told() -> list[object]:
            updates = [one for frame in phone.got("diff", room) for one in frame.get("updates", ())]
            return [one.get("status") for one in updates]

        await phone.send(type="update", room=room, meta={"status": "away"})
        await phone.until(lambda: "away" in told() and told()[-1] == "active")
    await new_page.close()


async def test_who_is_invisible_sees_the_others_and_is_not_seen(
    mysite: Mysite, people: dict[str, Member], new_page: NewPage
) -> None:
    grace = await show(await new_page(), mysite, "/lounge/", people["grace"])
    ada = await show(await new_page(), mysite, "/lounge/", people["ada"])
    other_tab = await tab(ada.context, new_page, mysite, "/lounge/")
    names, number = grace.locator("li"), grace.get_by_text(re.compile(r"^\d+ here$"))
    await expect(names).to_have_text(["grace", "ada"])
    await ada.get_by_role("button", name="Be invisible").click()
    await expect(names).to_have_text(["grace"])
    await expect(number).to_have_text("1 here")
    await expect(other_tab.get_by_role("button")).to_have_text("Be seen")
    await other_tab.reload()
    await expect(other_tab.locator("html")).to_have_attribute("data-presence-state", "live")
    for page in (ada, other_tab):
        await expect(page.locator("li")).to_have_text(["grace"])
    await grace.get_by_role("button").click()
    for page in (ada, other_tab):
        await expect(page.get_by_text("0 here")).to_be_visible()
    await other_tab.get_by_role("button", name="Be seen").click()
    for page in (grace, ada, other_tab):
        await expect(page.locator("li")).to_have_text(["ada"])
    await expect(ada.get_by_role("button")).to_have_text("Be invisible")
    await new_page.close()


async def test_a_site_below_a_path_is_live_there(mysite: Mysite, new_page: NewPage, tmp_path: Path) -> None:
    below = Mysite(shutil.copytree(mysite.project, tmp_path / "project"))
    below.follow(f"{RECIPES}/below-a-path.md")
    below.allow("Not Found: /(favicon.ico|static/demo/favicon.svg)")
    with below as site:
        page = await new_page()
        await page.goto(f"{site.url}/app/admin/login/?next=/app/lounge/")
        await page.get_by_label("Username").fill("ada")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Log in").click()
        await expect(page.locator("html")).to_have_attribute("data-presence-state", "live")
        await page.get_by_role("button", name="Be invisible").click()
        await expect(page.get_by_text("0 here")).to_be_visible()
        assert {(one["name"], one["path"]) for one in await page.context.cookies()} == {
            ("sessionid", "/app/"),
            ("csrftoken", "/app/"),
        }
        note = await tab(page.context, new_page, site, "/app/notes/1/")
        await expect(face(note, "ada")).to_have_css("position", "static")
        await note.locator("textarea").press_sequentially("Well")
        await note.close()
        await new_page.close()
