/**
 * The page side of djust_presence: a socket to the page's own URL, events, and fields that keep what a person did.
 *
 * patch.js, which shows what the server renders, has a tag of its own. The tag of this script says where the rest
 * is: `data-cursors` is the script for pages with live cursors, and `data-socket-prefix` goes in front of the page's
 * path in the socket's URL. With DEBUG it may have `data-advice`, for the console.
 *
 * What the page's own scripts and styles can go by:
 *   presence:<event>            on the document: a broadcast to the group, its payload in `detail`
 *   djust:push_event            on the window: view.push_event(), `detail` is {event, payload}
 *   presence-client:<notice>    on the document: online, offline {code, final}, render {regions};
 *                               bubbling from the element that asked: unsent {name, params},
 *                               refused {ref, name, code, message}
 *   <html data-presence-state>  connecting, live, reconnecting or stopped
 *   <presence-status>           says that the page reconnects, or has stopped, in the words of
 *                               <html data-presence-reconnecting data-presence-stopped> if that has any
 *   [data-presence-pending]     an element whose event has not been answered
 *   --presence-color            on every element with a plain colour as data-presence-color
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
  const VISIT = Symbol.for("djust_presence.visit");
  if (document[VISIT]) {
    // A boosted navigation brings the script again into the same document, perhaps for another page.
    document[VISIT]();
    return;
  }
  const warn = (text) => console.warn(`djust_presence: ${text}`);
  if (!(script instanceof HTMLScriptElement)) return;
  const advice = script.getAttribute("data-advice");
  if (advice) warn(advice);
  if (!script.hasAttribute("data-socket-prefix")) return;
  const cursorsUrl = script.getAttribute("data-cursors");
  const socketPrefix = script.getAttribute("data-socket-prefix");

  const PATCH = Symbol.for("djust_presence.patch");
  const COLOR = "data-presence-color";
  const PROPERTY = "--presence-color";
  const PENDING = "data-presence-pending";
  const DISABLED = "aria-disabled";
  const IGNORED = '[dj-update="ignore"]';
  const FIELDS = "input:not([type=file]), textarea, select"; // files are never sent, so never settled either
  // As in codes.py.
  const CloseCode = { BAD_REQUEST: 4400, LOG_IN: 4401, FORBIDDEN: 4403, NOT_FOUND: 4404, FLOOD: 4408, FAILED: 4500 };
  const { FAILED, ...CLOSED_FOR_GOOD } = CloseCode;
  const FIRST_DELAY = 1_000; // milliseconds, like all times here
  const LONGEST_DELAY = 4_000;
  const LONGEST_DELAY_AFTER_FAULT = 60_000;
  const CONNECT_TIMEOUT = 10_000;
  const PROBE_TIMEOUT = 4_000;
  const SCRIPT_RETRY = 5_000;
  const STATUS_DELAY = 1_000;
  const PATIENCE = 3; // tries, after which a page that was never live says so
  const TYPING_DEBOUNCE = 300;
  const LARGEST_FRAME = 64 * 1024; // bytes

  const HELP = "See docs/how-to/troubleshoot.md.";
  const NO_PATCHER =
    "patch.js cannot be loaded, and without it the page does not update: are static files collected and served? " +
    HELP;

  /** Tell the page. An element that has left it meanwhile cannot be heard, so the document speaks for it. */
  const emit = (name, detail = {}, source = window.document) =>
    (bare(source).isConnected ? bare(source) : document).dispatchEvent(
      new CustomEvent(`presence-client:${name}`, { bubbles: true, detail }),
    );

  // --- The socket: reconnecting, probing, close codes -------------------------------------------------

  let socket = null;
  let state = null;
  let openedPath = null;
  let openedUrl = null;
  let ownPath = location.pathname; // of the page that brought the script along: others may take its place
  let everReady = false;
  let attempts = 0;
  let compared = false; // whether the page has the regions that its view has
  let ping = 30; // seconds, as the server says it
  let retryTimer;
  let watchdog;

  const isOwn = () => location.pathname === ownPath;
  const silence = () => 2 * ping * 1_000 + 5_000;

  function socketUrl() {
    const { protocol, host, pathname, search } = location;
    return `${protocol.replace("http", "ws")}//${host}${socketPrefix}${pathname}${search}`;
  }

  /** `code` is that of the close that led to it, or null if nobody closed. */
  function setState(next, code = null) {
    const was = state;
    const final = next === "stopped";
    state = next;
    document.documentElement.dataset.presenceState = next;
    if (next === "live") {
      cursors?.online();
      emit("online");
    } else if (was === "live" || final) {
      cursors?.offline();
      emit("offline", { code, final });
    }
    const lost = next === "reconnecting" || (next === "connecting" && attempts >= PATIENCE);
    if (final) note(code && isOwn() ? "stopped" : null);
    else note(lost ? "reconnecting" : null);
  }

  const send = (message) => socket.send(JSON.stringify(message));

  function connect() {
    clearTimeout(retryTimer);
    setState(everReady ? "reconnecting" : "connecting");
    openedPath = location.pathname;
    openedUrl = socketUrl();
    socket = new WebSocket(openedUrl);
    socket.onopen = () => watch(silence());
    socket.onmessage = ({ data }) => {
      watch(silence());
      const message = JSON.parse(data);
      if (Object.hasOwn(receive, message.type)) receive[message.type](message);
    };
    socket.onclose = ({ code, reason }) => {
      const reload = code === CloseCode.LOG_IN && everReady;
      const final = Object.values(CLOSED_FOR_GOOD).includes(code) && !reload;
      if (final && isOwn()) warn(`this page no longer updates: closed with ${code}, ${reason}. ${HELP}`);
      forget(final ? "stopped" : "reconnecting", code);
      if (reload) location.reload();
      else if (!final) retry(code === FAILED);
    };
    watch(CONNECT_TIMEOUT);
  }

  /** Detach the socket, whose own close event may never come, and answer for what it still owed. */
  function forget(next, code) {
    const old = socket;
    socket = null;
    clearTimeout(watchdog);
    clearTimeout(retryTimer);
    if (old) old.onopen = old.onmessage = old.onclose = null;
    setState(everReady || next === "stopped" ? next : "connecting", code);
    for (const ref of [...inFlight.keys()]) {
      answered(ref, { code: "lost", message: "The connection was lost before the answer came." });
    }
    return old;
  }

  const status = document.createElement("presence-status");
  const NOTES = { reconnecting: "Reconnecting…", stopped: "This page no longer updates: reload it." };
  let noted = null; // which of them the page says, or soon will
  let noteTimer;

  /** Say it in the page, but not of a connection that is soon back. */
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
  const popover = document.createElement("div");
  popover.setAttribute("popover", "manual");
  popover.append(document.createElement("slot"));

  function placeStatus() {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`
      :host, div { display: contents }
      div:popover-open {
        display: block; inset: 0 auto auto 0; margin: 0; border: 0; padding: 0; overflow: visible;
        background: none; color: inherit; pointer-events: none;
      }
      div::backdrop { display: none }
    `);
    const root = holder.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    root.append(popover);
    holder.append(status);
    document.documentElement.append(holder);
    document.addEventListener("toggle", onTopLayer, true);
    document.addEventListener("fullscreenchange", onTopLayer);
    // Not every browser has a toggle event for dialogs.
    const opened = { subtree: true, attributeFilter: ["open"] };
    new MutationObserver((records) => records.forEach(onTopLayer)).observe(document.documentElement, opened);
  }

  /** Put the note above all else, and into the modal dialog if there is one: whatever is around that is inert. */
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
    if (!slowly && !everReady && attempts === PATIENCE) {
      warn(
        `no connection to ${openedUrl}: has asgi.py an entry for "websocket", and does the server speak ` +
          `WebSockets? ${HELP}`,
      );
    }
    retryTimer = setTimeout(connect, slowly ? (longest * (1 + Math.random())) / 2 : longest * Math.random());
  }

  /** Whoever stays silent for so long is dead: `readyState` would not say so. */
  function watch(limit) {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => {
      const wasLive = state === "live";
      forget("reconnecting").close();
      if (wasLive) connect();
      else retry(false);
    }, limit);
  }

  function probe() {
    if (state === "stopped") return;
    if (!socket) connect();
    else if (state === "live") {
      send({ type: "ping" });
      watch(PROBE_TIMEOUT);
    }
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
    render({ regions }) {
      if (location.pathname !== openedPath) {
        // A boosted navigation has put another page here, which this view must not overwrite.
        forget("stopped").close(1000);
        return;
      }
      if (!compared) {
        compared = true;
        // The view behind the socket may have found other regions than when the page was loaded.
        if (!isPageOf(Object.keys(regions))) send({ type: "page" });
      }
      if ("*" in regions) {
        waiting.clear(); // an older part would spoil the page
        late.clear();
      }
      for (const [id, html] of Object.entries(regions)) {
        late.delete(id);
        waiting.delete(id);
        waiting.set(id, html);
      }
      flush();
    },
    ack: ({ ref }) => answered(ref),
    error: ({ ref, code, message }) => answered(ref, { code, message }),
    push: ({ event, payload }) =>
      window.dispatchEvent(new CustomEvent("djust:push_event", { detail: { event, payload } })),
    event: ({ event, payload }) =>
      document.dispatchEvent(new CustomEvent(`presence:${event}`, { detail: payload })),
    cursors: (message) => cursors?.show(message),
    // Timers of hidden tabs are throttled, message handlers are not: so the server asks and the page answers.
    ping: () => send({ type: "pong" }),
  };

  // --- Events to the server ---------------------------------------------------------------------------

  let lastRef = 0;
  const inFlight = new Map(); // ref → {name, element, sent}
  const held = new Map(); // a form on its way → its submit buttons → their own aria-disabled

  /**
   * Send one event, or refuse it while the socket is down: nothing is queued. `sent` are the fields of a form
   * that is submitted, of which one at a time is on its way.
   */
  function sendEvent(element, handler, params, sent) {
    const { name, args } = parseHandler(handler);
    if (args.length) params._args = args;
    if (state !== "live" || (sent && held.has(element))) {
      const why = state === "live" ? "the form's last submit is still on its way" : "there is no connection";
      warn(`${name} was not sent: ${why}.`);
      emit("unsent", { name, params }, element);
      return;
    }
    lastRef += 1;
    inFlight.set(lastRef, { name, element, sent });
    bare(element).setAttribute(PENDING, "");
    if (sent) hold(element);
    const frame = JSON.stringify({ type: "event", ref: lastRef, name, params });
    if (new Blob([frame]).size > LARGEST_FRAME) {
      answered(lastRef, { code: "too-large", message: "A page sends at most 64 KB at once." });
    } else socket.send(frame);
  }

  function answered(ref, error) {
    const { name, element, sent } = inFlight.get(ref) ?? {};
    inFlight.delete(ref);
    if (element && ![...inFlight.values()].some((other) => other.element === element)) {
      bare(element).removeAttribute(PENDING);
    }
    if (sent) unhold(element);
    if (!error) {
      if (sent) handled.push(sent);
      flush();
      return;
    }
    warn(`${name ?? "a frame"} was refused (${error.code}): ${error.message}`);
    emit("refused", { ref, name, ...error }, element);
  }

  /** Not `disabled`, which would throw the focus to the body. */
  function hold(form) {
    const buttons = [...bare(form).elements].filter((field) => ["submit", "image"].includes(field.type));
    held.set(form, new Map(buttons.map((button) => [button, button.getAttribute(DISABLED)])));
    for (const button of buttons) button.setAttribute(DISABLED, "true");
  }

  function unhold(form) {
    for (const [button, own] of held.get(form)) {
      if (own === null) button.removeAttribute(DISABLED);
      else button.setAttribute(DISABLED, own);
    }
    held.delete(form);
  }

  const orNull = (number) => (Number.isNaN(number) ? null : number);

  /** djust's type hints: `data-id:int="3"`. Without one a value is text, which the server coerces. */
  const HINTS = {
    int: (value) => orNull(Number.parseInt(value || "0", 10)),
    float: (value) => orNull(Number.parseFloat(value || "0")),
    bool: (value) => ["true", "1", "yes", "on", "checked"].includes(value.toLowerCase()),
    json(value) {
      try {
        return JSON.parse(value);
      } catch {
        return value; // the server says what it is not
      }
    },
    list: (value) => value.split(",").map((part) => part.trim()).filter(Boolean),
  };
  Object.assign(HINTS, { integer: HINTS.int, number: HINTS.float, boolean: HINTS.bool });
  Object.assign(HINTS, { object: HINTS.json, array: HINTS.json });

  /** What the attributes with this prefix say: kebab-case names become snake_case. */
  function valuesOf(element, prefix) {
    const values = {};
    for (const { name, value } of bare(element).attributes) {
      if (!name.startsWith(prefix) || /^data-(presence|htmx|hx)-/.test(name)) continue;
      const [key, hint] = name.slice(prefix.length).replace(/^dj-/, "").split(":");
      values[key.replaceAll("-", "_")] = hint && Object.hasOwn(HINTS, hint) ? HINTS[hint](value) : value;
    }
    return values;
  }

  const ESCAPES = { n: "\n", r: "\r", t: "\t" };

  function literal(text) {
    if (/^(['"]).*\1$/s.test(text)) {
      return text.slice(1, -1).replace(/\\(.)/gs, (_, char) => ESCAPES[char] ?? char);
    }
    if (["true", "false", "null"].includes(text)) return JSON.parse(text);
    const number = /^-?(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : NaN;
    // A longer integer would lose digits; as text the server reads it whole.
    return Math.abs(number) <= Number.MAX_SAFE_INTEGER ? number : text;
  }

  /** `rename(3, 'x')` → {name: "rename", args: [3, "x"]} */
  function parseHandler(text) {
    const [, name, list = ""] = /^\s*([^\s(]+)\s*(?:\((.*)\))?\s*$/s.exec(text) ?? [null, text.trim()];
    const args = list.matchAll(/\s*('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^,]*[^,\s])\s*(?:,|$)/gs);
    return { name, args: Array.from(args, ([, arg]) => literal(arg)) };
  }

  /** The fields of a form, as text. What may have several values is a list, even of one. */
  function formValues(form, submitter) {
    const values = {};
    const data = new FormData(form, submitter);
    for (const name of new Set(data.keys())) {
      const texts = data.getAll(name).filter((value) => typeof value === "string");
      // The socket is known to be the page's own by its Origin: Django's token is of no use to a handler.
      if (!texts.length || name === "csrfmiddlewaretoken") continue;
      const fields = [...bare(form).elements].filter((field) => field.name === name);
      const several = fields.length > 1 && fields.every((field) => field.type === "checkbox");
      values[name] = texts.length > 1 || several || fields.some(isMultiple) ? texts : texts[0];
    }
    return values;
  }

  const isMultiple = (field) => field.type === "select-multiple";
  const isClicked = (field) => ["checkbox", "radio", "select-one", "select-multiple"].includes(field.type);

  function fieldValue(field) {
    if (field.type === "checkbox") return field.checked;
    return isMultiple(field) ? Array.from(field.selectedOptions, (option) => option.value) : field.value;
  }

  function sendField(field, handler) {
    sendEvent(field, handler, {
      value: fieldValue(field),
      field: field.dataset.field || field.name || field.id.replace(/^id_/, "") || null,
      ...valuesOf(field, "dj-value-"),
      _target: field.name || field.id || null,
    });
  }

  const delayed = new Set(); // what waits for its dj-debounce: {source, attribute, timer, run}

  /**
   * Run it when the source has been quiet for the element's `dj-debounce`, or else for `quiet`; with "blur",
   * when it is left. What happens at once lets what has waited go first.
   */
  function whenQuiet(element, attribute, source, quiet, run) {
    const said = bare(element).getAttribute("dj-debounce");
    const limit = said === null ? quiet : Number.parseInt(said, 10) || 0;
    for (const other of delayed) {
      if (other.source === source && other.attribute === attribute) drop(other);
    }
    if (said !== "blur" && limit <= 0) {
      hurry();
      run();
      return;
    }
    const one = { source, attribute, run };
    if (said !== "blur") one.timer = setTimeout(() => hurry(one), limit);
    delayed.add(one);
  }

  function drop(one) {
    clearTimeout(one.timer);
    delayed.delete(one);
  }

  function hurry(...some) {
    for (const one of some.length ? some : [...delayed]) {
      drop(one);
      one.run();
    }
  }

  function onClick(event) {
    const element = event.target instanceof Element && bare(event.target).closest("[dj-click]");
    if (!element || bare(element).matches(":disabled")) return;
    event.preventDefault();
    whenQuiet(element, "dj-click", element, 0, () => {
      const data = valuesOf(element, "data-");
      const params = valuesOf(element, "dj-value-");
      // Other scripts have data attributes of theirs: these are offered, and the handler takes what it knows.
      if (Object.keys(data).length) params._data = data;
      sendEvent(element, bare(element).getAttribute("dj-click"), params);
    });
  }

  function onSubmit(event) {
    const form = event.target;
    if (!(form instanceof HTMLFormElement && bare(form).hasAttribute("dj-submit"))) return;
    event.preventDefault();
    hurry();
    const { submitter } = event;
    const params = {
      ...formValues(form, submitter),
      ...valuesOf(form, "dj-value-"),
      _target: submitter?.name || submitter?.id || null,
    };
    const fields = [...bare(form).elements].filter((field) => field.matches(FIELDS));
    sendEvent(form, bare(form).getAttribute("dj-submit"), params, rememberFields(fields));
  }

  /** What a field has to say by `dj-input` or `dj-change`, its own or of an element around it. */
  function onField(attribute, field) {
    const element = field instanceof HTMLElement && bare(field).closest(`[${attribute}]`);
    if (!element || field === composing || field.type === "file") return;
    const quiet = attribute === "dj-input" && !isClicked(field) ? TYPING_DEBOUNCE : 0;
    whenQuiet(element, attribute, field, quiet, () => sendField(field, bare(element).getAttribute(attribute)));
  }

  /** The view behind a socket that has just opened knows nothing of what was typed before. */
  function inform() {
    for (const [field, { dirty }] of rememberFields(document.querySelectorAll(FIELDS))) {
      if (!dirty || field.matches(":disabled, [type=hidden], [type=radio]:not(:checked)")) continue;
      for (const attribute of ["dj-input", "dj-change"]) {
        const element = field.closest(`[${attribute}]`);
        if (element) sendField(field, bare(element).getAttribute(attribute));
      }
    }
  }

  // --- Patching ---------------------------------------------------------------------------------------

  const waiting = new Map(); // region id → its newest HTML, not yet shown
  const late = new Map(); // the same, of regions that are shown but for an element that is being edited
  const handled = []; // the fields of each form that was handled, as they were sent
  let uninformed = false; // whether the view may not know what was typed: it was mounted since
  let kept = null; // what a person did to the fields of the region being patched
  let composing = null; // the element under an IME composition
  let patcherTimer;

  /** Show what has come, as far as that is possible now; when nothing is left, settle what waited for it. */
  function flush() {
    const patcher = document[PATCH];
    if (!patcher && waiting.size) patcherTimer ??= setTimeout(warn, SCRIPT_RETRY, NO_PATCHER);
    if (patcher && waiting.size) {
      clearTimeout(patcherTimer);
      const regions = [...waiting];
      waiting.clear();
      for (const [id, html] of regions) {
        try {
          patch(patcher, id, html);
        } catch (error) {
          reportError(error); // and go on with the others
        }
      }
      lookForCursors();
      emit("render", { regions: regions.map(([id]) => id) });
      if (uninformed && !waiting.size) {
        uninformed = false;
        inform();
      }
    }
    if (!waiting.size) handled.splice(0).forEach(release);
  }

  /** Show the new content of one region, or of the whole page for "*", around what a person did. */
  function patch(patcher, id, html) {
    const target =
      id === "*" ? document.documentElement : document.querySelector(`live-region[id="${CSS.escape(id)}"]`);
    if (!target) return;
    const focus = rememberFocus();
    kept = rememberFields(target.querySelectorAll(FIELDS));
    const { skipped, late: isLate } = patcher.patch(target, html, { leave: composing, set: setHeld });
    settleFields(target);
    if (skipped) waiting.set(id, html);
    if (isLate) late.set(id, html);
    paint(target);
    restoreFocus(focus);
    if (typeof window.htmx?.process === "function") window.htmx.process(target);
  }

  /** Show what an element that was being edited has missed. */
  function catchUp() {
    for (const [id, html] of late) if (!waiting.has(id)) waiting.set(id, html);
    late.clear();
    flush();
  }

  /** Whether these are the regions of the page; "*" is of every page. */
  function isPageOf(ids) {
    const here = Array.from(document.querySelectorAll("live-region"), ({ id }) => id);
    return ids.includes("*") || (here.length === ids.length && here.every((id) => ids.includes(id)));
  }

  /** Of a button that is held, the server's aria-disabled waits for the answer. */
  function setHeld(element, name, value) {
    const buttons = name === DISABLED ? held.get(element.form) : null;
    if (!buttons?.has(element)) return false;
    buttons.set(element, value);
    return true;
  }

  /** A field that a person changed is dirty, and keeps its content as long as it remains the same field. */
  function isKept(field, now = field) {
    const { dirty, name } = kept.get(field);
    return dirty && now.name === name && !now.hasAttribute("dj-force-value");
  }

  function rememberFields(elements) {
    const fields = new Map();
    for (const field of elements) {
      if (field === composing || field.closest(IGNORED)) continue;
      const { name, type, value, checked } = field;
      if (field.options) {
        const selected = [...field.selectedOptions];
        const initial = initialOptions(field);
        const dirty =
          selected.length !== initial.length || selected.some((option) => !initial.includes(option));
        fields.set(field, { name, dirty, selected: selected.map(({ value }) => value), chosen: selected });
      } else if (type === "checkbox" || type === "radio") {
        fields.set(field, { name, dirty: checked !== field.defaultChecked, checked });
      } else {
        fields.set(field, { name, dirty: value !== initialValue(field), typed: true, value });
      }
    }
    return fields;
  }

  function settleFields(target) {
    const chosen = [];
    for (const [field, { selected, chosen: options, checked, typed }] of kept) {
      if (!target.contains(field)) continue;
      const keep = isKept(field);
      if (selected) settleSelect(field, keep && selected, options);
      else if (!typed) {
        if (field.type === "radio" && keep) chosen.push([field, checked]);
        else field.checked = keep ? checked : field.defaultChecked;
      } else if (!keep) settleText(field);
    }
    // Last, as every checked radio button unchecks the others of its group.
    for (const [radio, checked] of chosen) radio.checked = checked;
  }

  /** Fields of a handled form take the server's content if they still hold what was sent. */
  function release(sent) {
    const content = ({ selected, checked, value } = {}) => JSON.stringify([selected, checked, value]);
    const choice = (field) => (field.type === "radio" ? field.name : field); // radio buttons are one
    const now = rememberFields(sent.keys());
    const changed = new Set();
    for (const [field, was] of sent) if (content(now.get(field)) !== content(was)) changed.add(choice(field));
    for (const [field, { selected, typed }] of sent) {
      if (changed.has(choice(field))) continue;
      if (selected) settleSelect(field);
      else if (!typed) field.checked = field.defaultChecked;
      else settleText(field);
    }
  }

  function settleText(field) {
    const initial = initialValue(field);
    if (field.value !== initial) field.value = initial;
  }

  /** Choose the options that were `chosen`, with these values, or else others of the same value. */
  function settleSelect(select, selected, chosen) {
    const options = [...select.options];
    const isStill = (option, index) => options.includes(option) && option.value === selected[index];
    const remaining =
      selected &&
      (chosen.every(isStill) ? chosen : options.filter((option) => selected.includes(option.value)));
    const wanted =
      remaining && remaining.length >= Math.min(selected.length, 1) ? remaining : initialOptions(select);
    if (options.every((option) => option.selected === wanted.includes(option))) return;
    for (const option of options) option.selected = wanted.includes(option);
  }

  /** What the field would show untouched: browsers tidy up the value of a range, a colour, a date. */
  function initialValue(field) {
    // A hidden field has no other value than its attribute, which a script may have set.
    if (field.type === "hidden") return document[PATCH]?.served(field)?.getAttribute("value") ?? field.value;
    if (field.value === field.defaultValue) return field.value;
    const form = document.createElement("form");
    const copy = form.appendChild(field.cloneNode(true));
    copy.removeAttribute("form"); // with it, Firefox takes the copy for a part of no form
    form.reset();
    return copy.value;
  }

  function initialOptions(select) {
    const options = [...select.options];
    const marked = options.filter((option) => option.defaultSelected);
    if (select.multiple) return marked;
    if (marked.length) return marked.slice(-1);
    if (select.size > 1) return [];
    return options.filter((option) => !option.disabled && !option.parentNode.disabled).slice(0, 1);
  }

  function rememberFocus() {
    const element = document.activeElement;
    const { selectionStart, selectionEnd, selectionDirection } = element ?? {};
    return { element, selectionStart, selectionEnd, selectionDirection };
  }

  function restoreFocus({ element, selectionStart, selectionEnd, selectionDirection }) {
    if (!element?.isConnected || element === composing) return;
    if ([null, document.body].includes(document.activeElement)) element.focus({ preventScroll: true });
    // Fields that have no caret say null, other elements nothing at all.
    if (selectionStart == null || element.selectionStart == null) return;
    if (element.selectionStart !== selectionStart || element.selectionEnd !== selectionEnd) {
      element.setSelectionRange(selectionStart, selectionEnd, selectionDirection);
    }
  }

  const painted = new Set();

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
  function paint(root) {
    for (const element of root.querySelectorAll(`[${COLOR}]`)) painted.add(element);
    for (const element of painted) {
      const plain = bare(element);
      const color = plainColor(plain.getAttribute(COLOR));
      if (!plain.hasAttribute(COLOR) || !plain.isConnected) painted.delete(element);
      if (plain.style.getPropertyValue(PROPERTY) !== color) plain.style.setProperty(PROPERTY, color);
    }
  }

  // --- Cursors: a script of its own, for pages that have a surface for them ----------------------------

  const CURSORS = Symbol.for("djust_presence.cursors");
  let cursors = null;
  let cursorsTag = null;

  /** The page may have got its first surface, or another. */
  function lookForCursors() {
    if (cursors) cursors.rendered();
    else if (cursorsUrl && !cursorsTag && document.querySelector("live-cursors")) loadCursors();
  }

  function loadCursors(again = false) {
    cursorsTag = document.createElement("script");
    cursorsTag.src = document[PATCH]?.scriptURL(cursorsUrl) ?? cursorsUrl;
    cursorsTag.nonce = script.nonce;
    cursorsTag.onload = () => {
      cursorsTag.remove();
      cursors = document[CURSORS]({ send });
      if (state === "live") cursors.online();
    };
    cursorsTag.onerror = () => {
      cursorsTag.remove();
      if (!again) warn(`${cursorsUrl} cannot be loaded, and without it the page shows no cursors. ${HELP}`);
      setTimeout(loadCursors, SCRIPT_RETRY, true);
    };
    document.head.append(cursorsTag);
  }

  // --- Start ------------------------------------------------------------------------------------------

  const sheet = new CSSStyleSheet();
  // Of no specificity, so that any rule of the page has its way.
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

  document[VISIT] = () => {
    ownPath = location.pathname;
    paint(document);
    lookForCursors();
    // A view that has yet to be mounted will be as new as the page; the one behind a socket that is live is not.
    if (state !== "stopped" && state !== "live" && openedUrl === socketUrl()) return;
    document[PATCH]?.copyPage();
    hurry(); // what was typed is for the view that is being left
    waiting.clear();
    late.clear();
    handled.length = 0;
    forget("reconnecting")?.close(1000);
    everReady = false;
    connect();
  };

  document.addEventListener("click", onClick);
  document.addEventListener("submit", onSubmit);
  document.addEventListener("input", ({ target }) => onField("dj-input", target));
  document.addEventListener("change", ({ target }) => onField("dj-change", target));
  document.addEventListener("focusout", ({ target }) => {
    [...delayed].filter(({ source, timer }) => source === target && !timer).forEach((one) => hurry(one));
    if (late.size) setTimeout(catchUp); // when something else has the focus
  });
  document.addEventListener("djust_presence.patch", flush);
  document.addEventListener("compositionstart", ({ target }) => (composing = target), true);
  document.addEventListener(
    "compositionend",
    ({ target }) => {
      composing = null;
      // After the input event that ends it, which not every browser sends.
      setTimeout(() => {
        onField("dj-input", target);
        flush();
      });
    },
    true,
  );
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && probe());
  document.addEventListener("resume", probe);
  window.addEventListener("online", probe);
  window.addEventListener("pageshow", ({ persisted }) => persisted && probe());
  // An open socket would keep the page out of the back/forward cache, and its person in the group.
  window.addEventListener("pagehide", () => state !== "stopped" && forget("reconnecting")?.close(1000));

  // Outside the body, which may be patched or swapped as a whole. There from the start, so that it is read out.
  status.setAttribute("role", "status"); // as a property it came to Firefox late
  placeStatus();

  paint(document);
  lookForCursors();
  if (document.prerendering) document.addEventListener("prerenderingchange", probe, { once: true });
  else connect();
})();
