/**
 * The page side of djust_presence: a socket to the page's own URL, events, and patches that keep what a
 * person did.
 *
 * Its tag says where the rest is: `data-engine` is htmx 4 out of django-htmx, whose morph does the patching
 * as a private copy, and `data-socket-prefix` goes in front of the page's path in the socket's URL.
 *
 * What the page's own scripts and styles can go by:
 *   presence:<event>            on the document: a broadcast to the group, its payload in `detail`
 *   djust:push_event            on the window: view.push_event(), `detail` is {event, payload}
 *   presence-client:<notice>    on the document: online, offline {code, final}, render {regions};
 *                               bubbling from the element that asked: unsent {name, params},
 *                               refused {ref, name, code, message}
 *   <html data-presence-state>  connecting, live, reconnecting or stopped
 *   [data-presence-pending]     an element whose event has not been answered
 *   --presence-color            on every element with a valid data-presence-color
 */
(() => {
  "use strict";

  const script = document.currentScript;
  const VISIT = Symbol.for("djust_presence.visit");
  if (document[VISIT]) {
    // A boosted navigation brings the script again into the same document, perhaps for another page.
    document[VISIT]();
    return;
  }
  if (!script?.dataset.engine) return;
  const { engine: engineUrl, socketPrefix = "" } = script.dataset;

  const COLOR = "data-presence-color";
  const PENDING = "data-presence-pending";
  const IGNORED = '[dj-update="ignore"]';
  const CLOSED_FOR_GOOD = new Set([4400, 4401, 4403, 4404, 4408]);
  const LOGIN_REQUIRED = 4401;
  const SERVER_FAULT = 4500;
  const FIRST_DELAY = 1_000; // milliseconds, like all times here
  const LONGEST_DELAY = 4_000;
  const LONGEST_DELAY_AFTER_FAULT = 60_000;
  const CONNECT_TIMEOUT = 10_000;
  const PROBE_TIMEOUT = 4_000;
  const ENGINE_RETRY = 5_000;

  /** Tell the page. An element that has left it meanwhile cannot be heard, so the document speaks for it. */
  const emit = (name, detail = {}, source = document) =>
    (source.isConnected ? source : document).dispatchEvent(
      new CustomEvent(`presence-client:${name}`, { bubbles: true, detail }),
    );

  // --- The socket: reconnecting, probing, close codes -------------------------------------------------

  let socket = null;
  let state = null;
  let openedPath = null;
  let openedUrl = null;
  let everReady = false;
  let attempts = 0;
  let ping = 30; // seconds, as the server says it
  let retryTimer;
  let watchdog;

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
    if (next === "live") emit("online");
    else if (was === "live" || final) emit("offline", { code, final });
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
    socket.onclose = ({ code }) => {
      const reload = code === LOGIN_REQUIRED && everReady;
      const final = CLOSED_FOR_GOOD.has(code) && !reload;
      forget(final ? "stopped" : "reconnecting", code);
      if (reload) location.reload();
      else if (!final) retry(code === SERVER_FAULT);
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

  /** Full jitter, so that the pages of a restarted server do not come back all at once. */
  function retry(slowly) {
    const longest = Math.min(FIRST_DELAY * 2 ** attempts, slowly ? LONGEST_DELAY_AFTER_FAULT : LONGEST_DELAY);
    attempts += 1;
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
      watch(silence());
      setState("live");
    },
    render({ regions }) {
      if (location.pathname !== openedPath) {
        // A boosted navigation has put another page here, which this view must not overwrite.
        forget("stopped").close(1000);
        return;
      }
      for (const [id, html] of Object.entries(regions)) waiting.set(id, html);
      flush();
    },
    ack: ({ ref }) => answered(ref),
    error: ({ ref, code, message }) => answered(ref, { code, message }),
    push: ({ event, payload }) =>
      window.dispatchEvent(new CustomEvent("djust:push_event", { detail: { event, payload } })),
    event: ({ event, payload }) =>
      document.dispatchEvent(new CustomEvent(`presence:${event}`, { detail: payload })),
    // Timers of hidden tabs are throttled, message handlers are not: so the server asks and the page answers.
    ping: () => send({ type: "pong" }),
  };

  // --- Events to the server ---------------------------------------------------------------------------

  let lastRef = 0;
  const inFlight = new Map(); // ref → {name, element}

  /** Send one event, or refuse it while the socket is down: nothing is queued. */
  function sendEvent(element, name, params) {
    if (state !== "live") {
      emit("unsent", { name, params }, element);
      return;
    }
    lastRef += 1;
    inFlight.set(lastRef, { name, element });
    element.setAttribute(PENDING, "");
    send({ type: "event", ref: lastRef, name, params });
  }

  function answered(ref, error) {
    const { name, element } = inFlight.get(ref) ?? {};
    inFlight.delete(ref);
    if (element && ![...inFlight.values()].some((other) => other.element === element)) {
      element.removeAttribute(PENDING);
    }
    if (!error) return;
    console.warn(`djust_presence: ${name ?? "a frame"} was refused (${error.code}): ${error.message}`);
    emit("refused", { ref, name, ...error }, element);
  }

  const orNull = (number) => (Number.isNaN(number) ? null : number);

  /** djust's type hints: `data-id:int="3"`. Without one a value is text, which the server coerces. */
  const HINTS = {
    int: (value) => orNull(Number.parseInt(value || "0", 10)),
    float: (value) => orNull(Number.parseFloat(value || "0")),
    bool: (value) => ["true", "1", "yes", "on", "checked"].includes(value.toLowerCase()),
    json: (value) => JSON.parse(value),
    list: (value) =>
      value
        .trim()
        .split(/\s*,\s*/)
        .filter(Boolean),
  };

  /** What the attributes with this prefix say: kebab-case names become snake_case. */
  function valuesOf(element, prefix) {
    const values = {};
    for (const { name, value } of element.attributes) {
      if (!name.startsWith(prefix) || /^data-(presence|htmx|hx)-/.test(name)) continue;
      const [key, hint] = name.slice(prefix.length).split(":");
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

  function onClick(event) {
    const element = event.target instanceof Element && event.target.closest("[dj-click]");
    if (!element || element.matches(":disabled")) return;
    event.preventDefault();
    const { name, args } = parseHandler(element.getAttribute("dj-click"));
    const params = { ...valuesOf(element, "data-"), ...valuesOf(element, "dj-value-") };
    if (args.length) params._args = args;
    sendEvent(element, name, params);
  }

  // --- Patching ---------------------------------------------------------------------------------------

  const waiting = new Map(); // region id → its newest HTML, not yet shown
  let morph = null;
  let kept = null; // what a person did to the fields of the region being patched
  let composing = null; // the element under an IME composition
  let skipped = false;

  function flush() {
    if (!morph || !waiting.size) return;
    const regions = [...waiting];
    waiting.clear();
    for (const [id, html] of regions) patch(id, html);
    emit("render", { regions: regions.map(([id]) => id) });
  }

  /** Show the new content of one region, or of the whole body for "*", around what a person did. */
  function patch(id, html) {
    const target = id === "*" ? document.body : document.getElementById(id);
    if (!target) return;
    const source = id === "*" ? parsePage(html) : parseFragment(html);
    // Parsed where no script runs, its content came out as elements, which would load their images.
    for (const noscript of source.querySelectorAll("noscript")) noscript.textContent = noscript.innerHTML;
    paint(source);
    const focus = rememberFocus();
    kept = rememberFields(target);
    skipped = false;
    morph(target, source, true);
    settleFields(target);
    if (skipped) waiting.set(id, html);
    restoreFocus(focus);
    window.htmx?.process?.(target);
  }

  function parsePage(html) {
    const page = new DOMParser().parseFromString(html, "text/html");
    if (page.title && page.title !== document.title) document.title = page.title;
    return page.body;
  }

  function parseFragment(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content;
  }

  /** The engine asks before it touches a node: false leaves the node and all within as they are. */
  function beforeMorphNode(old, { newNode }) {
    if (old === composing) {
      skipped = true;
      return false;
    }
    if (old.matches(IGNORED) || (old === document.activeElement && old.isContentEditable)) return false;
    if (old.matches("details, dialog")) newNode.toggleAttribute("open", old.hasAttribute("open"));
    if (old.hasAttribute(PENDING)) newNode.setAttribute(PENDING, "");
    // The engine would copy the style as an attribute, which a strict policy refuses.
    if (newNode.hasAttribute(COLOR)) old.style.cssText = newNode.style.cssText;
    // With the default already equal the engine finds nothing to copy over what was typed.
    if (kept.get(old)?.typed && isKept(old, newNode)) old.defaultValue = newNode.defaultValue;
    return true;
  }

  /** A field that a person changed is dirty, and keeps its content as long as it remains the same field. */
  function isKept(field, now = field) {
    const { dirty, name } = kept.get(field);
    return dirty && now.name === name && !now.hasAttribute("dj-force-value");
  }

  function rememberFields(target) {
    const fields = new Map();
    for (const field of target.querySelectorAll("input:not([type=file]), textarea, select")) {
      if (field === composing || field.closest(IGNORED)) continue;
      const { name, type, value, checked } = field;
      if (field.options) {
        const selected = [...field.selectedOptions];
        const initial = initialOptions(field);
        const dirty =
          selected.length !== initial.length || selected.some((option) => !initial.includes(option));
        fields.set(field, { name, dirty, selected: selected.map((option) => option.value) });
      } else if (type === "checkbox" || type === "radio") {
        fields.set(field, { name, dirty: checked !== field.defaultChecked, checked });
      } else {
        fields.set(field, { name, dirty: value !== initialValue(field), typed: true });
      }
    }
    return fields;
  }

  function settleFields(target) {
    const chosen = [];
    for (const [field, { selected, checked, typed }] of kept) {
      if (!target.contains(field)) continue;
      const keep = isKept(field);
      if (selected) settleSelect(field, keep && selected);
      else if (!typed) {
        if (field.type === "radio" && keep) chosen.push([field, checked]);
        else field.checked = keep ? checked : field.defaultChecked;
      } else if (!keep && field.value !== initialValue(field)) field.value = field.defaultValue;
    }
    // Last, as every checked radio button unchecks the others of its group.
    for (const [radio, checked] of chosen) radio.checked = checked;
  }

  function settleSelect(select, selected) {
    const options = [...select.options];
    const remaining = selected && options.filter((option) => selected.includes(option.value));
    const wanted =
      remaining && remaining.length >= Math.min(selected.length, 1) ? remaining : initialOptions(select);
    if (options.every((option) => option.selected === wanted.includes(option))) return;
    for (const option of options) option.selected = wanted.includes(option);
  }

  /** What the field would show untouched: browsers tidy up the value of a range, a colour, a date. */
  function initialValue(field) {
    if (field.value === field.defaultValue) return field.value;
    const form = document.createElement("form");
    const copy = form.appendChild(field.cloneNode(true));
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

  /** A strict policy refuses style attributes in HTML, but not what a script sets on an element. */
  function paint(root) {
    for (const element of root.querySelectorAll(`[${COLOR}]`)) {
      const color = element.getAttribute(COLOR);
      if (CSS.supports("color", color)) element.style.setProperty("--presence-color", color);
      else element.style.removeProperty("--presence-color");
    }
  }

  // --- The engine: a private copy of htmx 4, unseen by the page's own htmx ----------------------------

  function loadEngine() {
    const tag = document.createElement("script");
    const own = Object.getOwnPropertyDescriptor(window, "htmx");
    // `var htmx` of the page's own copy cannot be redefined. Otherwise it may yet come while ours loads.
    const declared = own?.configurable === false;
    let page = own?.value;
    let engine;
    if (!declared) {
      const set = (value) => (document.currentScript === tag ? (engine = value) : (page = value));
      Object.defineProperty(window, "htmx", { configurable: true, enumerable: true, get: () => page, set });
    }
    // Approved extensions are the business of the page's own copy, which has read the list already.
    const config = page && document.querySelector('meta[name="htmx-config"][content*="extensions"]');
    config?.setAttribute("name", "htmx-config-read");
    const restore = () => {
      config?.setAttribute("name", "htmx-config");
      if (declared) [engine, window.htmx] = [window.htmx, page];
      else {
        delete window.htmx;
        if (page) window.htmx = page;
      }
      tag.remove();
    };
    tag.src = engineUrl;
    tag.nonce = script.nonce;
    tag.onload = () => {
      restore();
      adoptEngine(engine);
      flush();
    };
    tag.onerror = () => {
      restore();
      setTimeout(loadEngine, ENGINE_RETRY);
    };
    document.head.append(tag);
  }

  /** Keep the morph and switch off all else, before the copy gets to its own start in the next task. */
  function adoptEngine(engine) {
    // 4.0.1 starts with `initialize`, the betas with `process`.
    engine.initialize = engine.process = () => {};
    engine.config.history = false;
    const sheets = document.adoptedStyleSheets;
    const indicator = `.${engine.config.indicatorClass}`;
    const index = sheets.findLastIndex((sheet) => sheet.cssRules[0]?.selectorText === indicator);
    if (index !== -1) sheets.splice(index, 1);
    engine.registerExtension("djust-presence", {
      init: (api) => (morph = api.morph),
      htmx_before_morph_node: beforeMorphNode,
    });
    if (!morph) throw new Error("djust_presence: htmx-config has to approve the extension djust-presence.");
  }

  // --- Start ------------------------------------------------------------------------------------------

  const sheet = new CSSStyleSheet();
  sheet.replaceSync(":where(live-region) { display: contents }");
  document.adoptedStyleSheets.push(sheet);

  document[VISIT] = () => {
    paint(document);
    if (state !== "stopped" && openedUrl === socketUrl()) return;
    forget("reconnecting")?.close(1000);
    everReady = false;
    connect();
  };

  document.addEventListener("click", onClick);
  document.addEventListener("compositionstart", ({ target }) => (composing = target), true);
  document.addEventListener(
    "compositionend",
    () => {
      composing = null;
      setTimeout(flush); // after the input event that ends it
    },
    true,
  );
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && probe());
  document.addEventListener("resume", probe);
  window.addEventListener("online", probe);
  window.addEventListener("pageshow", ({ persisted }) => persisted && probe());
  // An open socket would keep the page out of the back/forward cache, and its person in the group.
  window.addEventListener("pagehide", () => state !== "stopped" && forget("reconnecting")?.close(1000));

  paint(document);
  loadEngine();
  if (document.prerendering) document.addEventListener("prerenderingchange", probe, { once: true });
  else connect();
})();
