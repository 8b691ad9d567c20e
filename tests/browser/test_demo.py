"""The example project in real browsers: what the guide promises, on real servers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import NewPage
from tests.servers import SiteServer

GUEST = re.compile(r"^[A-Z]\w+ [A-Z]\w+$")
SOON = 5_000  # milliseconds: a closed tab is gone after GRACE


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def demo(request: pytest.FixtureRequest) -> Iterator[SiteServer]:
    with SiteServer(server=request.param) as site:
        yield site


def chip(page: Page) -> Locator:
    return page.locator("main .presence-chip").first


async def document(page: Page, demo: SiteServer, doc_id: str, person: str = "guest") -> Page:
    await page.goto(f"{demo.url}/as/{person}/?next=/document/{doc_id}/")
    await expect(page.locator("html")).to_have_attribute("data-presence-state", "live")
    return page


def count(page: Page) -> Locator:
    return page.locator(".presence-count")


async def test_two_tabs_are_two_and_closing_one_leaves_one(demo: SiteServer, new_page: NewPage) -> None:
    first = await new_page()
    await first.goto(demo.url + "/counter/")
    await expect(chip(first)).to_have_text("1 online")
    second = await new_page(context=first.context)
    await second.goto(demo.url + "/counter/")
    await expect(chip(first)).to_have_text("2 online")
    await expect(chip(second)).to_have_text("2 online")
    await expect(first).to_have_title("2 online")
    await second.close()
    await expect(chip(first)).to_have_text("1 online", timeout=SOON)


async def test_typed_text_survives_in_a_page_that_is_live_as_a_whole(
    demo: SiteServer, new_page: NewPage
) -> None:
    writer = await new_page()
    await writer.goto(demo.url + "/counter/")
    await expect(writer.locator("html")).to_have_attribute("data-presence-state", "live")
    await writer.locator("summary").click()
    scratch = writer.get_by_label("Something to type")
    await scratch.press_sequentially("half a sen")
    other = await new_page()
    await other.goto(demo.url + "/counter/")
    await expect(chip(writer)).to_have_text("2 online")
    await expect(scratch).to_be_focused()
    await writer.keyboard.type("tence")
    await expect(scratch).to_have_value("half a sentence")
    await expect(writer.locator("details")).to_have_attribute("open", "")


async def test_the_index_greets_by_name_and_shows_who_is_on_the_other_pages(
    demo: SiteServer, new_page: NewPage
) -> None:
    index = await new_page()
    await index.goto(f"{demo.url}/as/ada/?next=/")
    await expect(index.locator(".welcome")).to_contain_text("You are ada. Nobody else")
    grace = await new_page()
    await grace.goto(f"{demo.url}/as/grace/?next=/")
    await expect(index.locator(".welcome")).to_contain_text("1 other is looking")
    card = index.locator(".card", has_text="A chat")
    await expect(card.locator(".presence-chip")).to_have_text("Nobody yet", timeout=SOON)
    await chat(grace, demo, "tea", "grace")
    await expect(card.locator(".presence-chip")).to_have_text("1 here")
    await expect(card.locator(".faces .unseen")).to_have_text(["grace"])
    await grace.goto(demo.url + "/counter/")
    counter = index.locator(".card", has_text="A counter")
    await expect(counter.locator(".presence-chip")).to_have_text("1 here")
    await expect(card.locator(".presence-chip")).to_have_text("Nobody yet", timeout=SOON)
    await expect(chip(grace)).to_have_text("1 online")
    await expect(index.locator(".welcome")).to_contain_text("Nobody else")


async def test_a_document_shows_who_comes_waves_and_goes(demo: SiteServer, new_page: NewPage) -> None:
    ada = await document(await new_page(), demo, "a", "ada")
    await expect(count(ada)).to_have_text("1 user online")
    grace = await document(await new_page(), demo, "a", "grace")
    await expect(count(ada)).to_have_text("2 users online")
    await expect(count(grace)).to_have_text("2 users online")
    await expect(ada.locator("#toasts")).to_contain_text("Grace joined")
    faces = ada.locator(".presence-bar .face")
    await expect(ada.locator(".presence-bar li .unseen")).to_have_text(["ada", "grace"])
    await expect(faces.nth(1)).to_have_css("background-color", "rgb(14, 123, 115)")
    await expect(ada.locator("#toasts")).not_to_contain_text("Ada")
    await grace.get_by_role("button", name="Wave").click()
    await expect(ada.locator("#toasts")).to_contain_text("Grace waved")
    await grace.close()
    await expect(count(ada)).to_have_text("1 user online", timeout=SOON)
    await expect(ada.locator("#toasts")).to_contain_text("Grace left")


async def test_two_tabs_of_one_user_are_one_presence(demo: SiteServer, new_page: NewPage) -> None:
    first = await document(await new_page(), demo, "b", "alan")
    second = await document(await new_page(context=first.context), demo, "b", "alan")
    await expect(first.locator(".person-note")).to_have_text("you, 2 tabs")
    await expect(count(first)).to_have_text("1 user online")
    await second.close()
    await expect(first.locator(".person-note")).to_have_text("you", timeout=SOON)
    await expect(count(first)).to_have_text("1 user online")
    await expect(first.locator("#toasts")).not_to_contain_text("left")


async def test_a_reload_shows_nobody_leaving(demo: SiteServer, new_page: NewPage) -> None:
    ada = await document(await new_page(), demo, "c", "ada")
    grace = await document(await new_page(), demo, "c", "grace")
    await expect(count(ada)).to_have_text("2 users online")
    await grace.reload()
    await expect(count(grace)).to_have_text("2 users online")
    await ada.wait_for_timeout(3_000)  # longer than GRACE
    await expect(count(ada)).to_have_text("2 users online")
    await expect(ada.locator("#toasts")).not_to_contain_text("left")


async def chat(page: Page, demo: SiteServer, room: str, person: str = "guest") -> Page:
    await page.goto(f"{demo.url}/as/{person}/?next=/chat/{room}/")
    await expect(page.locator("html")).to_have_attribute("data-presence-state", "live")
    return page


async def say(page: Page, text: str) -> None:
    await page.get_by_role("textbox").press_sequentially(text)
    await page.keyboard.press("Enter")


async def test_two_people_chat(demo: SiteServer, new_page: NewPage) -> None:
    ada = await chat(await new_page(), demo, "a", "ada")
    guest = await chat(await new_page(), demo, "a")
    for page in (ada, guest):
        await expect(page.locator(".user-list .person-name")).to_have_text(["ada", GUEST])
    await say(ada, "Tea?")
    for page in (ada, guest):
        await expect(page.locator(".bubble")).to_have_text(["Tea?"])
    composer = ada.get_by_role("textbox")
    await expect(composer).to_have_value("")
    await expect(composer).to_be_focused()
    await guest.get_by_role("textbox").fill("<b>Yes</b>, and scones")
    await guest.get_by_role("button", name="Send").click()
    await expect(guest.get_by_role("textbox")).to_have_value("")
    for page in (ada, guest):
        await expect(page.locator(".bubble")).to_have_text(["Tea?", "<b>Yes</b>, and scones"])
    await expect(ada.locator(".message.mine .bubble")).to_have_text(["Tea?"])
    await guest.close()
    await expect(ada.locator(".user-list .person-name")).to_have_text(["ada"], timeout=SOON)
    await expect(ada.locator(".sidebar h2")).to_have_text("Online (1)")


async def test_a_draft_survives_what_others_say_and_they_see_that_it_is_being_typed(
    demo: SiteServer, new_page: NewPage
) -> None:
    ada = await chat(await new_page(), demo, "b", "ada")
    grace = await chat(await new_page(), demo, "b", "grace")
    draft = ada.get_by_role("textbox")
    await draft.press_sequentially("half a sen")
    await expect(grace.locator(".typing")).to_contain_text("ada is typing")
    await say(grace, "Go on")
    await expect(ada.locator(".bubble")).to_have_text(["Go on"])
    await expect(draft).to_be_focused()
    await ada.keyboard.type("tence")
    await expect(draft).to_have_value("half a sentence")
    await ada.keyboard.press("Enter")
    await expect(grace.locator(".bubble")).to_have_text(["Go on", "half a sentence"])
    await expect(grace.locator(".typing")).not_to_contain_text("typing")


async def test_the_newest_message_is_in_view(demo: SiteServer, new_page: NewPage) -> None:
    ada = await chat(await new_page(), demo, "c", "ada")
    for number in range(20):
        await say(ada, f"Message {number}")
        await expect(ada.locator(".bubble").last).to_have_text(f"Message {number}")
        await expect(ada.get_by_role("textbox")).to_have_value("")
    await expect(ada.locator(".bubble").last).to_be_in_viewport()
    await expect(ada.locator(".bubble").first).not_to_be_in_viewport()
    await ada.reload()
    await expect(ada.locator(".bubble").last).to_be_in_viewport()


@pytest.mark.redis
async def test_two_servers_are_one_site(valkey_url: str, new_page: NewPage) -> None:
    with (
        SiteServer({"REDIS_URL": valkey_url}) as here,
        SiteServer({"REDIS_URL": valkey_url, "DB": here.variables["DB"]}) as there,
    ):
        ada = await document(await new_page(), here, "e", "ada")
        grace = await document(await new_page(), there, "e", "grace")
        await expect(count(ada)).to_have_text("2 users online")
        await expect(count(grace)).to_have_text("2 users online")
        await expect(ada.locator(".person-name")).to_have_text(["ada", "grace"])
        await grace.get_by_role("button", name="Wave").click()
        await expect(ada.locator("#toasts")).to_contain_text("Grace waved")
        await grace.close()
        await expect(count(ada)).to_have_text("1 user online", timeout=SOON)
        await new_page.close()
