/**
 * The page side of djust_presence under the views of real djust, whose own client has the socket and patches the page.
 *
 * base.js has a tag of its own, which has the addresses of the other scripts.
 *
 * The interface for the page's own scripts and styles, as with the built-in host:
 *   presence:<event>         on the document: a broadcast to the group, its payload in `detail`
 *   presence-client:render   on the document: the content of djust's views has changed
 */
(() => {
  "use strict";

  /** @type {Parts} */
  const parts = (window.document[Symbol.for("djust_presence.parts")] ??= {});
  if (parts.djust) return;
  let started = false;

  parts.djust = () => {
    if (started || !parts.base) return;
    started = true;
    start(parts.base);
  };
  parts.djust();

  function start({ bare, cursors: makeCursors, document, emit, paint }) {
    // --- Frames of the server for this script, on djust's own socket ---

    const OURS = '{"type": "djust_presence"';
    let socket = null;

    const receive = {
      broadcast: ({ event, payload }) => emit(`presence:${event}`, payload),
      /** Go online: a view with cursors is live on the current socket. */
      ready() {
        cursors.offline();
        cursors.online();
      },
      cursors: (message) => cursors.show(message),
    };

    function onMessage({ data }) {
      if (typeof data !== "string" || !data.startsWith(OURS)) return;
      const { kind, payload } = JSON.parse(data);
      if (Object.hasOwn(receive, kind)) receive[kind](payload);
    }

    /** Listen to the socket that djust's client has now, if it is another. */
    function listen() {
      const client = window.djust?.liveViewInstance;
      if (!client?.ws || client.ws === socket) return;
      cursors.offline();
      socket = client.ws;
      socket.addEventListener("message", onMessage);
      socket.addEventListener("close", ({ target }) => target === socket && cursors.offline());
      if (client.viewMounted) receive.ready(); // whose frame came before
    }

    // --- Cursors ---

    const LIVE = "[dj-root], [dj-view]";
    const COLOR = "data-presence-color";
    const cursors = makeCursors(send);

    /** Send a frame in the form that djust's consumer takes; `cursors` says that the page draws those of others. */
    function send({ type, ...position }) {
      if (socket?.readyState !== WebSocket.OPEN) return;
      const fields = type === "cursors" ? { cursors: true } : position;
      socket.send(JSON.stringify({ type: "cursor_move", ...fields }));
    }

    // --- After each patch ---

    const changed = { subtree: true, childList: true, characterData: true, attributeFilter: [COLOR, "style"] };
    const observer = new MutationObserver((records) => {
      // The reaction to a change is not a change itself.
      observer.disconnect();
      paint(document);
      const elements = records.map(({ target }) => bare(target).parentElement ?? target);
      if (elements.some((element) => bare(element).closest?.(LIVE))) {
        emit("presence-client:render", { regions: ["*"] });
        cursors.rendered();
      }
      observer.observe(window.document, changed);
    });

    function run() {
      paint(document);
      observer.observe(window.document, changed);
      // djust's client marks a new socket by a class of the body; it may replace the body too.
      new MutationObserver(listen).observe(window.document, { subtree: true, attributeFilter: ["class"] });
      listen();
      cursors.rendered();
    }

    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", run);
    else run();
  }
})();
