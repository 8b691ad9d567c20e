/**
 * The page side of djust_presence under the views of real djust, whose own client has the socket and patches the page.
 *
 * Its tag says where the rest is: `data-cursors` is the script for pages with live cursors.
 *
 * What the page's own scripts and styles can go by, as with the built-in host:
 *   presence:<event>         on the document: a broadcast to the group, its payload in `detail`
 *   presence-client:render   on the document: what djust's views show has changed
 *   --presence-color         on every element with a plain colour as data-presence-color
 */
(() => {
  "use strict";

  /** A node as it is: a form's fields, and images of a document, hide what they are named after. */
  const bare = (node) =>
    new Proxy(node, {
      get(target, name) {
        // What a script has defined there stands.
        const own = Object.getOwnPropertyDescriptor(target, name);
        if (typeof name === "symbol" || own?.configurable === false) return target[name];
        const value = Reflect.get(Object.getPrototypeOf(target), name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  const document = bare(window.document);
  const script = document.currentScript;
  const HERE = Symbol.for("djust_presence.djust");
  if (document[HERE] || !(script instanceof HTMLScriptElement)) return;
  document[HERE] = true;

  const cursorsUrl = script.getAttribute("data-cursors");
  const COLOR = "data-presence-color";
  const PROPERTY = "--presence-color";
  const LIVE = "[dj-root], [dj-view]";
  const SCRIPT_RETRY = 5_000; // milliseconds

  const emit = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));

  // --- What the server says to this script, on djust's own socket --------------------------------------

  const OURS = '{"type": "djust_presence"';
  let socket = null;

  const receive = {
    broadcast: ({ event, payload }) => emit(`presence:${event}`, payload),
    /** A view with cursors is live, on whatever socket. */
    ready() {
      offline();
      live = true;
      cursors?.online();
    },
    cursors: (message) => cursors?.show(message),
  };

  function onMessage({ data }) {
    if (typeof data !== "string" || !data.startsWith(OURS)) return;
    const { kind, payload } = JSON.parse(data);
    if (Object.hasOwn(receive, kind)) receive[kind](payload);
  }

  /** Listen to the socket that djust's client has by now, if it is another. */
  function listen() {
    const client = window.djust?.liveViewInstance;
    if (!client?.ws || client.ws === socket) return;
    offline();
    socket = client.ws;
    socket.addEventListener("message", onMessage);
    socket.addEventListener("close", ({ target }) => target === socket && offline());
    if (client.viewMounted) receive.ready(); // which was said before
  }

  // --- Cursors: a script of its own, for pages that have a surface for them ---------------------------

  const CURSORS = Symbol.for("djust_presence.cursors");
  let cursors = null;
  let cursorsTag = null;
  let live = false;

  /** As what djust's consumer takes from a page; `cursors` is that it draws those of others. */
  function send({ type, ...position }) {
    if (socket?.readyState !== WebSocket.OPEN) return;
    const fields = type === "cursors" ? { cursors: true } : position;
    socket.send(JSON.stringify({ type: "cursor_move", ...fields }));
  }

  function lookForCursors() {
    if (cursors) cursors.rendered();
    else if (cursorsUrl && !cursorsTag && document.querySelector("live-cursors")) loadCursors();
  }

  function loadCursors() {
    cursorsTag = document.createElement("script");
    cursorsTag.src = cursorsUrl;
    cursorsTag.nonce = script.nonce;
    cursorsTag.onload = () => {
      cursorsTag.remove();
      cursors = document[CURSORS]({ send });
      if (live) cursors.online();
    };
    cursorsTag.onerror = () => {
      cursorsTag.remove();
      setTimeout(loadCursors, SCRIPT_RETRY);
    };
    document.head.append(cursorsTag);
  }

  function offline() {
    if (!live) return;
    live = false;
    cursors?.offline();
  }

  // --- After each patch -------------------------------------------------------------------------------

  const { style } = document.createElement("i");

  /** The value as the browser writes it, if it is a colour and nothing else; else "". */
  function plainColor(value) {
    // Nothing but what is substituted (var(), if(), attr(), inherit) is taken for a colour and for a width.
    if (typeof value !== "string" || CSS.supports("width", value)) return "";
    style.color = "";
    style.color = value;
    return style.color;
  }

  /** A strict policy refuses style attributes in HTML, but not what a script sets on an element. */
  function paint() {
    for (const element of document.querySelectorAll(`[${COLOR}]`)) {
      const plain = bare(element);
      const color = plainColor(plain.getAttribute(COLOR));
      if (plain.style.getPropertyValue(PROPERTY) !== color) plain.style.setProperty(PROPERTY, color);
    }
  }

  const changed = { subtree: true, childList: true, characterData: true, attributeFilter: [COLOR, "style"] };
  const observer = new MutationObserver((records) => {
    // What is done about a change is none.
    observer.disconnect();
    paint();
    const elements = records.map(({ target }) => bare(target).parentElement ?? target);
    if (elements.some((element) => bare(element).closest?.(LIVE))) {
      emit("presence-client:render", { regions: ["*"] });
      lookForCursors();
    }
    observer.observe(window.document, changed);
  });

  function start() {
    paint();
    observer.observe(window.document, changed);
    // djust's client tells of a new socket by a class of the body, which it may also replace.
    new MutationObserver(listen).observe(window.document, { subtree: true, attributeFilter: ["class"] });
    listen();
    lookForCursors();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
