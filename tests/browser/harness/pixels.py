"""Looking at a page as a person does: at the colours of its pixels."""

from __future__ import annotations

import base64

from playwright.async_api import Page

from tests.browser.harness.polling import turns

COUNT = """
async ([png, ...wanted]) => {
  const bytes = Uint8Array.from(atob(png), (char) => char.charCodeAt(0));
  const { width, height, data } = await createImageBitmap(new Blob([bytes])).then((image) => {
    const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, image.width, image.height);
  });
  let count = 0;
  for (let at = 0; at < 4 * width * height; at += 4) {
    if (wanted.every((byte, part) => data[at + part] === byte)) count += 1;
  }
  return count;
}
"""


async def pixels(page: Page, color: tuple[int, int, int]) -> int:
    """Return how many pixels of the window have exactly this colour."""
    png = base64.b64encode(await page.screenshot()).decode()
    count: int = await page.evaluate(COUNT, [png, *color])
    return count


async def seen(page: Page, color: tuple[int, int, int], visible: bool = True) -> None:
    """Wait until at least 50 pixels have this colour, or, unless *visible*, none."""
    count = -1
    async for _ in turns():
        count = await pixels(page, color)
        if count >= 50 if visible else count == 0:
            return
    raise AssertionError(f"{count} pixels have the colour {color}")
