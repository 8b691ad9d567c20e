"""The snippets for React and Vue in the guide "From JavaScript", built with the real libraries, as people use them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.any_page import AnyPageServer
from tests.browser.conftest import NewPage
from tests.browser.harness import eventually
from tests.browser.harness.libraries import NPM, libraries
from tests.markdown import blocks

APPS = Path(__file__).resolve().parent / "apps"
GUIDE = "docs/how-to/from-javascript.md"
# Development: React then runs each effect twice.
BUILD = (
    *("--bundle", "--format=esm", "--jsx=automatic", "--log-level=warning"),
    *(f"--define:{name}" for name in ('process.env.NODE_ENV="development"', "__VUE_OPTIONS_API__=true")),
    *(
        f"--define:{name}=false"
        for name in ("__VUE_PROD_DEVTOOLS__", "__VUE_PROD_HYDRATION_MISMATCH_DETAILS__")
    ),
)
WATCH = """
async (key) => {
    window.log = [];
    const room = await djustPresence.join(key, { watch: true });
    for (const event of ["join", "leave"]) room.on(event, ({ name }) => log.push([event, name]));
}
"""


def build(app: str, section: str, directory: Path) -> None:
    """Bundle *app* with the snippet of that section."""
    (snippet,) = blocks(GUIDE, section)
    (directory / f"presence{Path(app).suffix}").write_text(snippet.text)
    (directory / app).write_text((APPS / app).read_text())
    command = ["node", str(NPM / "node_modules/esbuild-wasm/bin/esbuild"), app, *BUILD]
    subprocess.run(
        [*command, f"--outfile={directory / 'bundles' / Path(app).with_suffix('.js')}"],
        cwd=directory,
        env={**os.environ, "NODE_PATH": str(NPM / "node_modules")},
        check=True,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AnyPageServer]:
    libraries()
    directory = tmp_path_factory.mktemp("apps")
    build("react.jsx", "In React", directory)
    build("vue.js", "In Vue", directory)
    variables = {"STATIC": str(directory / "bundles")}
    with AnyPageServer(options={"GRACE": 0.5}, variables=variables) as server:
        yield server


async def names(page: Page, *shown: str) -> None:
    await expect(page.locator("li")).to_have_text([*shown])


@pytest.mark.parametrize("app", ["react.js", "vue.js"])
async def test_people_are_shown_while_a_component_is_there(
    server: AnyPageServer, new_page: NewPage, app: str
) -> None:
    new_page.allow("TrustedTypePolicy named 'vue'")  # which Vue can do without
    watcher, ada, bob = [await new_page() for _ in range(3)]
    await watcher.goto(server.url + "/page/watch/")
    await watcher.evaluate(WATCH, "document:42")
    for page, name in ((ada, "ada"), (bob, "bob")):
        await page.goto(f"{server.url}/log-in/{name}/")
        await page.goto(f"{server.url}/page/app/?app={app}")
        await names(page, *(["You"] if page is ada else ["ada", "You"]))
    await names(ada, "You", "bob")
    assert await watcher.evaluate("log") == [["join", "ada"], ["join", "bob"]]

    await ada.get_by_role("button", name="Toggle").click()
    await names(bob, "You")
    await expect(ada.locator("ul")).to_have_count(0)
    await ada.get_by_role("button", name="Toggle").click()
    await names(ada, "bob", "You")
    await names(bob, "You", "ada")

    await ada.get_by_role("button", name="Next").click()  # another key
    await names(bob, "You")
    await names(ada, "You")
    await bob.close()
    await eventually(watcher, "log.at(-1)", ["leave", "bob"])
    assert await watcher.evaluate("log.slice(2)") == [
        ["leave", "ada"],
        ["join", "ada"],
        ["leave", "ada"],
        ["leave", "bob"],
    ]
