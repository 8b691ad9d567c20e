/**
 * The page side of djust_presence under the views of real djust, whose own client has the socket and patches the page.
 *
 * What the page's own scripts and styles can go by, as with the built-in host:
 *   presence:<event>         on the document: a broadcast to the group, its payload in `detail`
 *   presence-client:render   on the document: what djust's views show has changed
 *   --presence-color         on every element with a valid data-presence-color
 */
(() => {
  "use strict";

  const HERE = Symbol.for("djust_presence.djust");
  if (document[HERE]) return;
  document[HERE] = true;

  const COLOR = "data-presence-color";
  const PROPERTY = "--presence-color";
  const BROADCAST = "djust_presence:broadcast";
  const LIVE = "[dj-root], [dj-view]";

  const emit = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));

  window.addEventListener("djust:push_event", ({ detail: { event, payload } }) => {
    if (event === BROADCAST) emit(`presence:${payload.event}`, payload.payload);
  });

  /** A strict policy refuses style attributes in HTML, but not what a script sets on an element. */
  function paint() {
    for (const element of document.querySelectorAll(`[${COLOR}]`)) {
      const color = element.getAttribute(COLOR);
      if (!CSS.supports("color", color)) element.style.removeProperty(PROPERTY);
      else if (element.style.getPropertyValue(PROPERTY) !== color) {
        element.style.setProperty(PROPERTY, color);
      }
    }
  }

  const changed = { subtree: true, childList: true, characterData: true, attributeFilter: [COLOR, "style"] };
  const observer = new MutationObserver((records) => {
    // What is done about a change is none.
    observer.disconnect();
    paint();
    const elements = records.map(({ target }) => target.parentElement ?? target);
    if (elements.some((element) => element.closest?.(LIVE))) emit("presence-client:render", { regions: ["*"] });
    observer.observe(document, changed);
  });

  function start() {
    paint();
    observer.observe(document, changed);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
