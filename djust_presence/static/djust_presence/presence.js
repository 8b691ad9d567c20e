/**
 * A live page: the socket to its own URL, and the regions that the server renders.
 *
 * The interface for scripts and styles of the page is in docs/reference/live-view.md.
 */
(() => {
  "use strict";

  const PATCH = Symbol.for("djust_presence.patch");
  // As in codes.py.
  const CloseCode = {
    BAD_REQUEST: 4400,
    LOG_IN: 4401,
    FORBIDDEN: 4403,
    NOT_FOUND: 4404,
    FLOOD: 4408,
    FAILED: 4500,
  };
  const { FAILED, ...CLOSED_FOR_GOOD } = CloseCode;
  const FIRST_DELAY = 1_000; // milliseconds, like all times here
  const LONGEST_DELAY = 4_000;
  const LONGEST_DELAY_AFTER_FAULT = 60_000;
  const CONNECT_TIMEOUT = 10_000;
  const PROBE_TIMEOUT = 4_000;
  const STATUS_DELAY = 1_000;
  const TRIES_BEFORE_NOTE = 3; // tries, after which a page that was never live says so
  const REGION = "live-region"; // an element of this name with its id, or another with this attribute
  const REGIONS = `${REGION}, [${REGION}]`;
  const NO_PATCHER =
    "patch.js cannot be loaded, and without it the page does not update: are static files collected and served?";

  /** @type {Parts} */
  const parts = (window.document[Symbol.for("djust_presence.parts")] ??= {});
  if (parts.presence) return;
  let visit = null;

  parts.presence = () => {
    const { base, forms } = parts;
    if (!base || !forms || !base.script) return;
    if (visit) visit();
    else visit = start(base, forms);
  };
  parts.presence();

  /** Make the page live. Returns the function to call when the scripts run again. */
  function start(base, makeForms) {
    const { bare, document, emit, paint, warn, HELP, SCRIPT_RETRY } = base;
    const cursors = base.cursors(send);
    const forms = makeForms(base, {
      isLive: () => state === "live",
      send: (text) => socket.send(text),
      flush,
      catchUp,
    });

    // --- The socket: reconnecting, probing, close codes ---

    let socket = null;
    let state = null;
    let openedUrl = null;
    let everReady = false;
    let attempts = 0;
    let compared = false; // whether the page is known to have the regions of its view
    let ping = 30; // seconds, as sent by the server
    let retryTimer;
    let watchdog;

    const silence = () => 2 * ping * 1_000 + 5_000;

    function socketUrl() {
      const { protocol, host } = location;
      if (location.pathname === address.pathname) address.search = location.search;
      return `${protocol.replace("http", "ws")}//${host}${address.prefix}${address.pathname}${address.search}`;
    }

    /** `code` is that of the close that led to the state, or null if there was none. */
    function setState(next, code = null) {
      const was = state;
      const final = next === "stopped";
      state = next;
      document.documentElement.dataset.presenceState = next;
      if (next === "live") {
        for (const listener of listeners) listener.online();
        emit("presence-client:online");
      } else if (was === "live" || final) {
        for (const listener of listeners) listener.offline(code, final);
        emit("presence-client:offline", { code, final });
      }
      const lost = next === "reconnecting" || (next === "connecting" && attempts >= TRIES_BEFORE_NOTE);
      if (final) note(isReplaced() ? null : "stopped");
      else note(lost ? "reconnecting" : null);
    }

    function send(message) {
      socket.send(JSON.stringify(message));
    }

    function connect() {
      clearTimeout(retryTimer);
      if (isSwapped()) return leave();
      setState(everReady ? "reconnecting" : "connecting");
      openedUrl = socketUrl();
      socket = new WebSocket(openedUrl);
      socket.onopen = () => {
        // Its view may take long to mount; some proxies let nothing else through meanwhile.
        clearTimeout(watchdog);
        watchdog = setTimeout(ask, CONNECT_TIMEOUT - PROBE_TIMEOUT);
      };
      socket.onmessage = ({ data }) => {
        if (isSwapped()) return leave();
        watch(silence());
        const message = JSON.parse(data);
        if (Object.hasOwn(receive, message.type)) receive[message.type](message);
        else for (const listener of listeners) listener.receive?.(message);
      };
      socket.onclose = ({ code, reason }) => {
        const reload = code === CloseCode.LOG_IN && everReady;
        const final = Object.values(CLOSED_FOR_GOOD).includes(code) && !reload;
        if (final && !isReplaced()) warn(`this page no longer updates: closed with ${code}, ${reason}. ${HELP}`);
        forget(final ? "stopped" : "reconnecting", code);
        if (reload) location.reload();
        else if (!final) retry(code === FAILED);
      };
      watch(CONNECT_TIMEOUT);
    }

    /** Detach the socket, whose own close event may never come. */
    function forget(next, code) {
      const old = socket;
      socket = null;
      clearTimeout(watchdog);
      clearTimeout(retryTimer);
      if (old) old.onopen = old.onmessage = old.onclose = null;
      setState(everReady || next === "stopped" ? next : "connecting", code);
      forms.lost();
      return old;
    }

    // --- The page's address and content ---

    let address; // {prefix, pathname, search} of the page's socket: scripts may change `location`
    let tag; // of base.js
    let content; // the page's regions, or the tag if it has none

    function arrive({ pathname, search }) {
      tag = base.script;
      address = { prefix: tag.dataset.socketPrefix, pathname, search };
      takeIn();
    }

    function takeIn() {
      content = [...document.querySelectorAll(REGIONS)];
      if (!content.length) content.push(tag);
    }

    /** The address from which the document was loaded: another script may have replaced it since. */
    function loadedFrom() {
      const [entry] = /** @type {PerformanceNavigationTiming[]} */ (performance.getEntriesByType("navigation"));
      const isLoading = document.readyState !== "complete"; // otherwise a navigation by script has loaded this page
      return isLoading && entry?.redirectCount === 0 ? new URL(entry.name) : location;
    }

    const isLeft = () => content.some((element) => document.contains(element));

    /** Whether a script has replaced the content of this page, so that its view must not patch it. */
    const isSwapped = () => location.pathname !== address.pathname && !isLeft();

    /** Whether it is another page as a whole, without a note for this one. */
    const isReplaced = () => isSwapped() && !document.contains(tag);

    /** Stop, until the content is back. */
    function leave() {
      if (!isReplaced()) warn(`this page no longer updates: a script has taken all of its regions away. ${HELP}`);
      if (state === "live") forms.hurry();
      forget("stopped")?.close(1000);
      const observer = new MutationObserver(() => {
        if (state === "stopped" && !isLeft()) return;
        observer.disconnect();
        if (state === "stopped") connect();
      });
      observer.observe(window.document, { childList: true, subtree: true });
    }

    // --- The line: this socket, for the rooms of client.js ---

    const listeners = [cursors];
    window.document[Symbol.for("djust_presence.line")] = {
      get live() {
        return state === "live";
      },
      send,
      listen: (listener) => listeners.push(listener),
    };

    // --- The note ---

    const status = document.createElement("presence-status");
    const NOTES = { reconnecting: "Reconnecting…", stopped: "This page no longer updates: reload it." };
    let noted = null; // the note that the page shows, or soon will
    let noteTimer;

    /** Show a note in the page, unless the connection is soon back. */
    function note(which) {
      if (which === noted && holder.isConnected) return;
      noted = which;
      clearTimeout(noteTimer);
      status.textContent = "";
      raise();
      if (!which) return;
      noteTimer = setTimeout(() => {
        status.textContent = document.documentElement.getAttribute(`data-presence-${which}`) ?? NOTES[which];
      }, STATUS_DELAY);
    }

    // The note is shown in the browser's top layer, but is no popover itself: a page may have rules for those.
    const holder = document.createElement("presence-status-holder");
    const popover = document.createElement("presence-popover");
    popover.setAttribute("popover", "manual");
    popover.append(document.createElement("slot"));

    const topLayer = new CSSStyleSheet();
    topLayer.replaceSync(`
      :host, presence-popover { display: contents }
      presence-popover:popover-open {
        display: block; inset: 0 auto auto 0; margin: 0; border: 0; padding: 0; overflow: visible;
        background: none; color: inherit; pointer-events: none;
      }
      presence-popover::backdrop { display: none }
    `);
    const root = holder.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [topLayer];
    root.append(popover);
    status.setAttribute("role", "status"); // Firefox has the property since recently only
    holder.append(status);
    // Outside the body, which may be patched or swapped as a whole. Present from the start, so that it is read out.
    document.documentElement.append(holder);
    document.addEventListener("toggle", onTopLayer, true);
    document.addEventListener("fullscreenchange", onTopLayer);
    // Not every browser has a toggle event for dialogs.
    const opened = { subtree: true, attributeFilter: ["open"] };
    new MutationObserver((records) => records.forEach(onTopLayer)).observe(document.documentElement, opened);

    /** Put the note above everything, and into the modal dialog if there is one: the page around that is inert. */
    function raise() {
      const { activeElement } = document;
      const modal =
        (activeElement && bare(activeElement).closest("dialog:modal")) ??
        [...document.querySelectorAll("dialog:modal")].at(-1);
      const parent = (noted && modal) || document.documentElement;
      if (holder.parentNode !== parent) parent.append(holder);
      popover.togglePopover?.(false);
      popover.togglePopover?.(noted !== null);
    }

    /** Something may have come above the note, or the dialog around it have gone. */
    function onTopLayer({ target }) {
      const isTop = bare(target).matches?.(":where(:modal, :popover-open, :fullscreen)");
      if (noted && (isTop || !popover.checkVisibility?.())) raise();
    }

    /** Full jitter, so that the pages of a restarted server do not come back all at once. */
    function retry(slowly) {
      const longest = Math.min(FIRST_DELAY * 2 ** attempts, slowly ? LONGEST_DELAY_AFTER_FAULT : LONGEST_DELAY);
      attempts += 1;
      if (slowly && attempts === 1) warn(`the view failed, the server's log says how; trying again. ${HELP}`);
      if (!slowly && !everReady && attempts === TRIES_BEFORE_NOTE) {
        warn(
          `no connection to ${openedUrl}: has asgi.py an entry for "websocket", and does the server speak ` +
            `WebSockets? ${HELP}`,
        );
      }
      retryTimer = setTimeout(connect, slowly ? (longest * (1 + Math.random())) / 2 : longest * Math.random());
    }

    /** A server that stays silent so long is dead, though `readyState` does not change. */
    function watch(limit) {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => {
        const wasLive = state === "live";
        forget("reconnecting").close();
        if (wasLive) connect();
        else retry(false);
      }, limit);
    }

    /** Ping the server, which answers also while it mounts the view. */
    function ask() {
      send({ type: "ping" });
      watch(PROBE_TIMEOUT);
    }

    function probe() {
      if (state === "stopped") return;
      if (!socket) connect();
      else if (state === "live") ask();
    }

    const receive = {
      ready(message) {
        attempts = 0;
        everReady = true;
        ping = message.ping ?? ping;
        compared = false;
        uninformed = true;
        watch(silence());
        setState("live");
      },
      render({ regions: rendered }) {
        if (!compared) {
          compared = true;
          // The view behind the socket may have found other regions than when the page was loaded.
          if (!isPageOf(Object.keys(rendered))) send({ type: "page" });
        }
        if ("*" in rendered) {
          waiting.clear(); // older parts must not be shown after the whole page
          late.clear();
        }
        for (const [id, html] of Object.entries(rendered)) {
          late.delete(id);
          waiting.set(id, html);
        }
        flush();
      },
      ack: ({ ref }) => forms.answered(ref),
      error: ({ ref, code, message }) => forms.answered(ref, { code, message }),
      push: ({ event, payload }) =>
        window.dispatchEvent(new CustomEvent("djust:push_event", { detail: { event, payload } })),
      event: ({ event, payload }) => emit(`presence:${event}`, payload),
      cursors: (message) => cursors.show(message),
      // Timers of hidden tabs are throttled, message handlers are not: so the server pings and the page answers.
      ping: () => send({ type: "pong" }),
    };

    // --- Patching ---

    const waiting = new Map(); // region id → its newest HTML, not yet shown
    const late = new Map(); // the same, for regions that are shown except for an element that is being edited
    let uninformed = false; // whether the view may lack typed input, as it was mounted since
    let patcherTimer;

    /** Show the HTML that waits, as far as that is possible now. */
    function flush() {
      const patcher = window.document[PATCH];
      if (!patcher && waiting.size) patcherTimer ??= setTimeout(warn, SCRIPT_RETRY, `${NO_PATCHER} ${HELP}`);
      if (patcher && waiting.size) {
        clearTimeout(patcherTimer);
        const html = new Map(waiting);
        waiting.clear();
        for (const id of html.keys()) {
          try {
            patch(patcher, id, html.get(id));
          } catch (error) {
            reportError(error); // and show the others
          }
        }
        if (html.has("*")) takeIn();
        cursors.rendered();
        emit("presence-client:render", { regions: [...html.keys()] });
        if (uninformed && !waiting.size) {
          uninformed = false;
          forms.inform();
        }
      }
      if (!waiting.size) forms.shown();
    }

    /** Show one region, or the whole page for "*". */
    function patch(patcher, id, html) {
      const target = id === "*" ? document.documentElement : regionNamed(id);
      if (!target) return;
      const { skipped, late: isLate } = forms.keepAround(target, (options) =>
        patcher.patch(target, html, options),
      );
      if (skipped) waiting.set(id, html);
      if (isLate) late.set(id, html);
      paint(bare(target));
      if (typeof window.htmx?.process === "function") window.htmx.process(target);
    }

    /** Show the updates that an element missed while it was being edited. */
    function catchUp() {
      if (!late.size) return;
      for (const [id, html] of late) if (!waiting.has(id)) waiting.set(id, html);
      late.clear();
      flush();
    }

    function regionNamed(id) {
      const named = `="${CSS.escape(id)}"]`;
      return document.querySelector(`${REGION}[id${named}, [${REGION}${named}`);
    }

    /** Whether these are the regions of the page; "*" is of every page. */
    function isPageOf(ids) {
      const regions = Array.from(document.querySelectorAll(REGIONS), bare);
      const here = regions.map((region) => region.getAttribute(REGION) ?? region.id);
      return ids.includes("*") || (here.length === ids.length && here.every((id) => ids.includes(id)));
    }

    // --- Start ---

    const sheet = new CSSStyleSheet();
    // Without specificity, so that any rule of the page wins.
    sheet.replaceSync(`
      :where(live-region, live-cursors) { display: contents }
      :where(presence-status) { position: fixed }
      :where(presence-status:not(:empty)) {
        z-index: 2147483647; inset-block-end: 1rem; inset-inline-start: 1rem;
        padding: 0.4em 0.9em; border: 1px solid #ffffff59; border-radius: 2em; pointer-events: none;
        font: 0.875rem/1.4 system-ui, sans-serif;
        background: var(--presence-status-background, #2b2b2b); color: var(--presence-status-color, #fff);
      }
      @media print { :where(presence-status) { display: none } }
    `);
    document.adoptedStyleSheets.push(sheet);

    /** Called when a boosted navigation has run the scripts again, perhaps for another page. */
    function visit() {
      arrive(location);
      paint(document);
      cursors.rendered();
      // A view not mounted yet will be as new as the page; the view of a live socket is older.
      if (state !== "stopped" && state !== "live" && openedUrl === socketUrl()) return;
      window.document[PATCH]?.copyPage();
      forms.hurry(); // typed input belongs to the former view
      waiting.clear();
      late.clear();
      forms.forget();
      forget("reconnecting")?.close(1000);
      everReady = false;
      connect();
    }

    document.addEventListener("djust_presence.patch", flush);
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && probe());
    document.addEventListener("resume", probe);
    window.addEventListener("online", probe);
    window.addEventListener("pageshow", ({ persisted }) => persisted && probe());
    // An open socket would keep the page out of the back/forward cache, and its person in the group.
    window.addEventListener("pagehide", () => state !== "stopped" && forget("reconnecting")?.close(1000));

    arrive(loadedFrom());
    base.offer("event", forms.event);
    paint(document);
    cursors.rendered();
    if (document.prerendering) document.addEventListener("prerenderingchange", probe, { once: true });
    else connect();

    return visit;
  }
})();
