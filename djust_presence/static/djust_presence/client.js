// @ts-check
/**
 * Presence on any page: <presence-count> and the other elements, and `presence` for scripts.
 *
 * The tag that `{% presence_script %}` prints says where the server is. Without imports the file works under any
 * name that a static files storage gives it; however often a page loads it, one instance runs.
 *
 *   <html data-presence-feed>      idle, connecting, live, polling, reconnecting or stopped
 *   [data-presence] on elements    live, polling, stale or refused
 *   presence-client:feed           on the document, with {state, code}: `code` is the close code, or null
 *
 * @typedef {{id: string, name: string, joined_at: number, [field: string]: any}} Person
 * @typedef {ReturnType<typeof handleOf>} Room
 */

const page = new Proxy(document, {
  // Elements hide the properties of a document that they are named after.
  get(target, name) {
    const value = Reflect.get(Document.prototype, name, target);
    return typeof value === "function" ? value.bind(target) : value;
  },
});
const root = page.documentElement;
const script = /** @type {HTMLScriptElement | null} */ (page.querySelector("script[data-feed]"));
const settings = script?.dataset ?? {};
const warn = (text) => console.warn(`djust_presence: ${text}`);

// --- Times: seconds, which data-times can change -------------------------------------------------------

const times = {
  open: 4, // until a socket must be ready
  life: 5, // a socket that lives longer works
  delay: 1, // the longest pause before another try, doubled each time
  longest: 4, // up to this
  fall: 6, // without a connection, until a page polls though its sockets have worked, or it waits for a live page's:
  // less than others would need to see it leave
  again: 1, // before the socket is opened again after a log-out: this, or up to twice as long
  retry: 60, // before a page that polls tries a socket, doubled each time
  rarest: 600, // up to this
  probe: 4, // for an answer after a pause of the page
  poll: 60, // the longest pause between polls
  failed: 60, // the longest pause after an error of the server
  answer: 10, // for the answer to a poll; the pause after a refused one, where the server says none
  person: 3, // a page polls once it was visible so long, or used; with 0, even if a program drives it
  leave: 0.25, // for a removed element to come back
  stale: 1, // without a connection, until elements say so
  announce: 2, // between announcements
  ...JSON.parse(settings.times ?? "{}"),
};
const FINAL = [4400, 4403, 4404, 4408]; // as in codes.py
const LOG_IN = 4401;
const FAILED = 4500;
const NO_MISSES = [null, 1012, 4000]; // a live page that navigates; a server that stops, or got no sign of life
const MISSES = 2; // in a row, after which the page polls
const LATER_MISSES = 6; // if a socket has lived: it may be a restart
const MOST_NEWS = 8;
const MOST_IDS = 500; // in one room

const after = (seconds, run) => setTimeout(run, seconds * 1_000);
const now = () => performance.now() / 1_000;
const address = (path = "") => new URL(path, location.href); // not relative to the page's <base>
const isVisible = () => page.visibilityState === "visible";
/** Full jitter: the pages of a restarted server do not come back all at once. */
const backOff = (tries, longest) => Math.random() * Math.min(times.delay * 2 ** tries, longest);

function token() {
  const bytes = String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16)));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

let ownToken;

/** Return the token that names a visitor without a session: of this browser, of this tab, or none. */
function visitor() {
  if (settings.anonymous === "none") return undefined;
  const name = "djust_presence.visitor";
  try {
    const store = settings.anonymous === "tab" ? sessionStorage : localStorage;
    const stored = store.getItem(name) ?? "";
    if (/^[\w-]{22,64}$/.test(stored)) return stored;
    store.setItem(name, (ownToken ??= token()));
  } catch {
    ownToken ??= token(); // storage is refused, or full
  }
  return ownToken;
}

// --- Transport: lines to the server, one of them current -----------------------------------------------

/** @type {any} */
let line = null;
/** @type {any} */
let trial = null; // a socket that takes over from polling if it lives
let state = "idle";
let started = false; // false while the page is prerendered, and after it was left
let lived = false; // true once a socket of this page has lived
let misses = 0;
let tries = 0;
let trials = 0;
let loggedOut = false;
let retryTimer;
let fallTimer;
let trialTimer;
let staleTimer;

function setState(next, code = null) {
  if (state === next && code === null) return;
  state = root.dataset.presenceFeed = next;
  page.dispatchEvent(new CustomEvent("presence-client:feed", { detail: { state, code } }));
  clearTimeout(staleTimer);
  staleTimer = after(next === "reconnecting" ? times.stale : 0, () => rooms.forEach(repaint));
}

/** Send the wishes, over a new line if there is none. */
function connect() {
  if (line) line.sync();
  else if (!started || retryTimer || state === "stopped" || ![...rooms.values()].some(wishOf)) return;
  else if (settings.feed === undefined) {
    setState("stopped");
    warn("put {% presence_script %} into the page: its elements are not live.");
  } else {
    setState(state === "idle" ? "connecting" : "reconnecting");
    const own = hostLine();
    if (!mayHaveSocket() || !(own || settings.socket)) {
      line = openPolling();
      line.sync();
      tryLater();
    } else if (own) {
      line = own;
      if (own.ready) opened(own);
      else fallTimer ??= after(times.fall, fall);
    } else line = openSocket(lived || !misses ? times.open : times.open / 2); // shorter if none has worked: none may get through
  }
}

const mayHaveSocket = () => misses < (lived ? LATER_MISSES : MISSES);

function openSocket(patience) {
  const url = address(settings.socket);
  url.protocol = url.protocol.replace("http", "ws");
  /** @type {WebSocket | null} */
  let socket = new WebSocket(url);
  let ping = 30;
  let watchdog;

  /** A server that stays silent so long is dead, though `readyState` does not change and no close event comes. */
  function watch(seconds) {
    clearTimeout(watchdog);
    watchdog = after(seconds, () => end(1006));
  }

  function end(code) {
    if (!socket) return;
    const old = socket;
    socket = null;
    old.onmessage = old.onclose = null;
    old.close(1000);
    clearTimeout(watchdog);
    ended(mine, code);
  }

  const mine = {
    ...{ live: true, ready: false, since: Infinity, asked: new Map(), before: null, pause() {} },
    bye: () => end(1000),
    sync: () => mine.ready && ask(mine),
    send: (frame) => socket?.send(JSON.stringify(frame)),
    wake() {
      mine.send({ type: "ping" });
      watch(times.probe);
    },
  };
  socket.onclose = ({ code }) => end(code);
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    // Timers of hidden pages are throttled, message handlers are not: so the server pings and the page answers.
    if (frame.type === "ping") mine.send({ type: "pong" });
    else if (frame.type === "ready") {
      ping = frame.ping ?? ping;
      opened(mine);
    } else take(mine, frame);
    if (mine.ready) watch(2 * ping + 5);
  };
  watch(patience);
  return mine;
}

function opened(mine) {
  mine.ready = true;
  mine.since = now();
  mine.life = after(times.life, () => {
    lived = isPerson = true;
    loggedOut = false;
    misses = 0;
    if (trial === mine) takeOver(mine);
  });
  mine.asked.clear();
  const own = visitor();
  if (own) mine.send({ type: "hello", visitor: own });
  if (mine === trial) return;
  tries = 0;
  clearTimeout(fallTimer);
  fallTimer = undefined;
  setState("live");
  mine.sync();
}

function ended(mine, code) {
  clearTimeout(mine.life);
  if (line?.before === mine) line.before = null;
  if (!started) return;
  if (mine === trial) {
    trial = null;
    tryLater();
  }
  if (mine !== line) return;
  line = mine.before; // which it had not replaced yet
  if (line) {
    line.sync();
    tryLater();
  } else if (FINAL.includes(code) || (code === LOG_IN && loggedOut)) {
    setState("stopped", code);
    warn(`closed with ${code}: nothing in this page is live until it is loaded again.`);
  } else if (code === 1000 && ![...rooms.values()].some(wishOf)) setState("idle");
  else {
    const short = !(now() - mine.since >= times.life);
    if (short && code < 4400 && !NO_MISSES.includes(code)) misses += 1;
    setState("reconnecting", code === LOG_IN ? code : null);
    let pause = backOff(tries, times.longest);
    if (code === FAILED) pause = times.longest + backOff(tries, times.failed);
    if (code === LOG_IN) {
      loggedOut = true;
      pause = times.again * (1 + Math.random());
    }
    tries += 1;
    if (lived) fallTimer ??= after(times.fall, fall);
    retryTimer = after(pause, () => {
      retryTimer = undefined;
      connect();
    });
  }
}

function fall() {
  const old = line;
  line = null;
  old?.bye();
  clearTimeout(retryTimer);
  retryTimer = fallTimer = undefined;
  misses = LATER_MISSES;
  connect();
}

/** Join by the socket, and only then say goodbye by polling: so others see no leave or join. */
function takeOver(mine) {
  trial = null;
  trials = 0;
  line?.pause();
  mine.before = line;
  line = mine;
  setState("live");
  mine.sync();
  settle(mine);
}

function settle(mine) {
  if (!mine.before || [...mine.asked.values()].some(({ waiting }) => waiting)) return;
  mine.before.bye();
  mine.before = null;
}

/** While the page polls, try a socket now and then, if the page is visible. A live page tries its own. */
function tryLater(seconds = Math.min(times.retry * 2 ** trials++, times.rarest)) {
  clearTimeout(trialTimer);
  if (!settings.socket || hostLine()) return;
  trialTimer = after(seconds * (0.8 + 0.4 * Math.random()), () => {
    trialTimer = undefined;
    if (isVisible()) trial = openSocket(times.open);
  });
}

function openPolling() {
  const left = new Map(); // room → its ticket
  let id = token();
  let seq = "";
  let failures = 0;
  let isBack = true; // until the next answer
  let earliest = 0; // when the next one may follow
  let busy = false;
  let due = false; // poll again soon after the answer
  let idle = false; // a socket takes over
  let timer;

  const mine = {
    ...{ live: false, ready: false, asked: new Map(), send() {} },
    sync() {
      idle = false;
      due = true;
      if (!busy) later(0);
    },
    wake: () => mine.sync(),
    pause() {
      idle = true;
      clearTimeout(timer);
    },
    bye() {
      mine.pause();
      if (earliest) navigator.sendBeacon(address(settings.feed), JSON.stringify({ ...question(), bye: true }));
    },
  };

  function later(seconds) {
    clearTimeout(timer);
    timer = after(Math.max(seconds, earliest - now()), poll);
  }

  function question() {
    for (const [room, { ticket }] of mine.asked) if (!wishOf(rooms.get(room))) left.set(room, ticket);
    for (const room of left.keys()) mine.asked.delete(room);
    const wanted = [];
    for (const room of rooms.values()) {
      const wish = wishOf(room);
      const before = mine.asked.get(room.id);
      if (!wish || (room.refused && before)) continue;
      wish.tag = before?.tag;
      mine.asked.set(room.id, wish);
      left.delete(room.id);
      wanted.push({ room: room.id, ticket: wish.ticket, want: wish.want, tag: wish.tag, meta: room.meta });
    }
    const gone = Array.from(left, ([room, ticket]) => ({ room, ticket }));
    return { page: id, seq, visitor: visitor(), hidden: !isVisible(), rooms: wanted, left: gone };
  }

  async function poll() {
    const asking = question();
    if (!isPerson || !(asking.rooms.length + asking.left.length)) return;
    let pause;
    earliest = now() + times.delay;
    busy = true;
    due = false;
    try {
      const response = await fetch(address(settings.feed), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(asking),
        signal: AbortSignal.timeout(times.answer * 1_000),
      });
      pause = response.ok ? taken(await response.json(), asking) : failed(response);
    } catch {
      pause = failed();
    }
    busy = false;
    if (!idle) later(due ? Math.min(pause, times.delay) : pause);
  }

  function taken(answer, asking) {
    if (answer.again) {
      id = token();
      seq = "";
      left.clear();
      mine.asked.clear();
      return failures++ ? backOff(failures, times.longest) : 0;
    }
    if (!seq) met("1");
    seq = answer.seq;
    failures = 0;
    for (const { room } of asking.left) left.delete(room);
    if (idle) return 0;
    mine.ready = true;
    setState("polling");
    for (const [room, news] of Object.entries(answer.rooms)) {
      const asked = mine.asked.get(room);
      if (news.refused) take(mine, { type: "refused", room, code: news.refused });
      else if (asked) {
        asked.tag = news.tag ?? asked.tag;
        take(mine, { type: "joined", room, ...news });
        if (news.count !== undefined) take(mine, { type: "state", room, ...news });
      }
    }
    if (isBack && lived) {
      // The server may have been down: that does not mean that sockets fail.
      trials = 0;
      tryLater(times.delay);
    }
    isBack = false;
    return Math.min(answer.every || times.poll, times.poll);
  }

  /** Return the pause after a failed poll. */
  function failed(response) {
    const status = response?.status ?? 500;
    if (idle) return 0;
    setState("reconnecting");
    if (status === 429 || status === 503) {
      const seconds = Number(response?.headers.get("Retry-After")) || times.answer;
      earliest = now() + seconds * (1 + Math.random() / 4);
      return 0;
    }
    if (status < 500) {
      warn(`polls are refused with status ${status}.`);
      return times.rarest;
    }
    isBack = true;
    return backOff(failures++, times.longest);
  }

  return mine;
}

// Robots of search engines run scripts and have no sockets. They are not counted, as they neither stay nor act.
let isPerson = false;
let personTimer;

/** Return whether a page of this tab has polled, or note that it has: its next page need not wait. */
function met(polls = "") {
  const name = "djust_presence.met";
  try {
    if (polls && settings.anonymous !== "none") sessionStorage.setItem(name, polls);
    return sessionStorage.getItem(name);
  } catch {
    return ""; // storage is refused, or full
  }
}

function meet() {
  if (isPerson || (navigator.webdriver && times.person)) return;
  isPerson = true;
  if (!line?.live) line?.sync();
}

function watchForPerson() {
  clearTimeout(personTimer);
  if (isVisible()) personTimer = after(met() ? 0 : times.person, meet);
}

let host;

/** The line that presence.js of a live page offers: its socket. None while a script has replaced that page. */
function hostLine() {
  const offered = document[Symbol.for("djust_presence.line")];
  if (offered && !host) {
    host = {
      ...{ live: true, ready: offered.live, left: false, asked: new Map(), bye() {}, pause() {}, wake() {} },
      sync: () => host.ready && ask(host),
      send: (frame) => offered.send(frame),
    };
    offered.listen({ online: hostOnline, offline: hostOffline, receive: (frame) => take(host, frame) });
  }
  return host?.left ? null : host;
}

function hostOnline() {
  host.left = false;
  host.ready = true;
  if (!started) return;
  if (!line && mayHaveSocket()) {
    clearTimeout(retryTimer);
    retryTimer = undefined;
    line = host;
  } else if (line !== host) {
    trial?.bye();
    clearTimeout(trialTimer);
    trial = host;
  }
  opened(host);
}

function hostOffline(code, final) {
  host.left = final && code === null;
  host.ready = false;
  host.asked.clear();
  ended(host, code);
}

// --- Rooms: the state of the page's groups ------------------------------------------------------------

// Kept for the page's life: of several elements for a room only the first has the ticket.
const rooms = new Map();
const nameless = new WeakSet();
let isPlanned = false;

/** Return the state of a room that nobody uses. */
const blank = () => ({
  ...{ meta: undefined, me: null, refused: null, renewed: false },
  self: null, // the reader's own record, until the server's state has it
  known: false, // a state has come
  ...{ listed: false, partial: false, some: [] }, // the people in it: all, a part of all, or these
  ...{ members: new Map(), total: 0 }, // as the server sent them
  ...{ people: new Map(), list: [], count: 0 }, // as shown
});

function roomOf(id) {
  if (!rooms.has(id)) rooms.set(id, { id, key: null, uses: new Set(), tickets: {}, ...blank() });
  return rooms.get(id);
}

function learn(room, kind, ticket) {
  room.tickets[kind] = ticket;
  if (room.refused) line?.asked.delete(room.id);
}

/** Return the join frame that a room needs, or null if nothing uses it. */
function wishOf(room) {
  const uses = [...(room?.uses ?? [])];
  const { tracks, watches } = room?.tickets ?? {};
  const kind = (tracks && uses.some((use) => use.tracks)) || !watches ? "tracks" : "watches";
  const ticket = room?.tickets[kind];
  if (!ticket || !uses.length) return null;
  const ids = [...new Set(uses.flatMap(({ want }) => want.some ?? []))].filter(Boolean).sort();
  const some = ids.length ? ids.slice(0, MOST_IDS) : undefined;
  const want = Object.assign({}, ...uses.map((use) => use.want), { some });
  return {
    text: JSON.stringify([kind, want.list, want.count, some]),
    kind,
    ticket,
    want,
    waiting: 1,
    tag: undefined,
  };
}

/** Call connect() once, at the end of this turn. */
function plan() {
  if (isPlanned) return;
  isPlanned = true;
  queueMicrotask(() => {
    isPlanned = false;
    connect();
  });
}

/** Send the joins and leaves that a socket has not had yet. */
function ask(mine) {
  for (const id of [...mine.asked.keys()].filter((id) => !wishOf(rooms.get(id)))) {
    mine.asked.delete(id);
    mine.send({ type: "leave", room: id });
    for (const [other, room] of rooms) if (room.refused === "too-many") mine.asked.delete(other);
  }
  for (const room of rooms.values()) {
    const wish = wishOf(room);
    const before = mine.asked.get(room.id);
    if (!wish || before?.text === wish.text) continue;
    wish.waiting += before?.waiting ?? 0;
    mine.asked.set(room.id, wish);
    mine.send({ type: "join", room: room.id, ticket: wish.ticket, want: wish.want, meta: room.meta });
  }
}

function take(mine, frame) {
  const room = rooms.get(frame.room);
  const asked = mine.asked.get(frame.room);
  if (asked && mine === line && Object.hasOwn(receive, frame.type)) receive[frame.type](room, frame, asked);
}

const receive = {
  joined(room, { me = null, self, ticket }, asked) {
    if (asked.waiting) asked.waiting -= 1;
    room.me = me;
    room.self = self ? person(room, self) : null;
    room.refused = null;
    room.renewed = false;
    if (ticket) learn(room, asked.kind, ticket);
    settle(line);
  },
  state(room, { count, members = [], partial = false }, { waiting, want }) {
    // Until the last wish is answered, this answers an earlier one.
    const listed = waiting ? room.listed : !!want.list;
    if (!waiting) room.some = want.some ?? [];
    show(room, new Map(members.map((raw) => [raw.id, person(room, raw)])), count, listed, partial);
  },
  diff(room, { count = room.total, joins = [], updates = [], leaves = [], partial }) {
    const members = new Map(room.members);
    for (const raw of [...joins, ...updates]) members.set(raw.id, person(room, raw));
    for (const id of leaves) members.delete(id);
    show(room, members, count, room.listed, partial);
  },
  count: (room, { count }) => show(room, room.members, count),
  "room-event": (room, { event, payload, from = null }) => tell(room, "event", freeze({ event, payload, from })),
  refused(room, { code }, asked) {
    asked.waiting = 0;
    settle(line);
    // A script's ticket has expired, or is for another user than the present reader.
    const again = room.key !== null && !room.renewed && ["bad-ticket", "expired", "other"].includes(code);
    if (!again) return refuse(room, code);
    Object.assign(room, { refused: code, renewed: true });
    askForTicket(room.key, asked.kind).then(
      ({ ticket }) => {
        learn(room, asked.kind, ticket);
        plan();
      },
      () => refuse(room, code),
    );
  },
};

function refuse(room, code) {
  Object.assign(room, { refused: code, self: null });
  if (code === "other" && "debug" in settings) {
    warn("a cached fragment was rendered for somebody else: public=True or vary by user.");
  }
  repaint(room);
  tell(room, "refused", code);
}

function freeze(value) {
  if (typeof value === "object" && value) Object.values(Object.freeze(value)).forEach(freeze);
  return value;
}

/** Return a person as scripts get them: the known object, if it is equal. */
function person(room, raw) {
  const known = room.people.get(raw.id);
  const one = freeze({ ...raw, name: String(raw.name || settings.guest || "Guest") });
  if (JSON.stringify(known) === JSON.stringify(one)) return known;
  if (!raw.name) nameless.add(one);
  return one;
}

/** Compare the people with those last shown, and emit the changes. */
function show(room, members, total, listed = room.listed, partial = room.partial) {
  const { people: before, count: countBefore } = room;
  // The joins and leaves of a cut list are unknown.
  const told = room.known && room.listed && listed && !room.partial && !partial;
  if (!listed || members.has(room.self?.id)) room.self = null;
  const people = room.self ? new Map(members).set(room.self.id, room.self) : members;
  const all = [...people.values()].sort((one, other) => one.joined_at - other.joined_at);
  const gone = [...before.values()].filter(({ id }) => !people.has(id));
  const come = all.filter(({ id }) => !before.has(id));
  const changed = all.filter((one) => before.has(one.id) && before.get(one.id) !== one);
  const count = total + (room.self ? 1 : 0);
  const list = Object.freeze(listed ? all : []);
  const same = room.known && room.listed === listed && count === countBefore;
  Object.assign(room, { members, total, people, count, list, listed, partial, known: true });
  repaint(room);
  if (told) {
    for (const one of gone) tell(room, "leave", one);
    for (const one of come) tell(room, "join", one);
    for (const one of changed) tell(room, "update", one);
  }
  if (!same || gone.length + come.length + changed.length) tell(room, "sync", list);
}

function tell(room, name, detail) {
  const uses = [...room.uses];
  for (const use of uses) use.tell?.(name, detail);
  const announcer = uses.find(({ element }) => element?.hasAttribute("announce"));
  if (announcer && ["join", "leave"].includes(name)) announce(announcer.element, room, name, detail);
}

function leave(use) {
  const { room } = use;
  room.uses.delete(use);
  if (!room.uses.size) Object.assign(room, blank());
  plan();
}

// --- Elements ------------------------------------------------------------------------------------------

const elements = new WeakMap();
const KINDS = {
  "presence-count": { want: () => ({ count: true }), paint: paintCount },
  "presence-avatars": { want: () => ({ list: true }), paint: paintAvatars },
  "presence-dot": { want: (element) => ({ some: [element.getAttribute("of")] }), paint: paintDot },
  "presence-room": { want: () => ({}), paint() {} },
};

// All mutations but those of attributes that scripts may animate.
const ATTRIBUTES = [
  ...["room", "ticket", "watch", "of", "max", "online", "aria-label", "data-presence"],
  ...["role", "class", "title", "src", "data-id", "data-presence-color"],
];

/** Render an element again after any change to it, by the server or a script. */
const observer = new MutationObserver((records) => {
  const hosts = records.map(({ target }) =>
    (target instanceof Element ? target : target.parentElement)?.closest(Object.keys(KINDS).join()),
  );
  for (const element of new Set(hosts)) {
    const own = element?.isConnected && elements.get(element);
    if (!own) continue;
    // Two scripts that both restore their own content would never stop.
    if (now() - own.since > 1) Object.assign(own, { since: now(), looks: 0 });
    own.looks += 1;
    if (own.looks <= 20) lookAt(element);
  }
});

/** Read the attributes of an element. */
function lookAt(element) {
  const own = elements.get(element) ?? { use: null, ticket: null, wish: "", timer: 0, looks: 0, since: 0 };
  elements.set(element, own);
  clearTimeout(own.timer);
  const id = element.getAttribute("room");
  if (own.use && own.use.room.id !== id) {
    leave(own.use);
    own.use = own.ticket = null;
  }
  if (!id) return;
  const room = roomOf(id);
  const ticket = element.getAttribute("ticket");
  const watches = element.hasAttribute("watch");
  // The server may have sent a younger ticket than the attribute's.
  if (ticket && ticket !== own.ticket) learn(room, watches ? "watches" : "tracks", (own.ticket = ticket));
  const tracks = !watches && element.localName !== "presence-dot";
  const want = KINDS[element.localName].want(element);
  const wish = JSON.stringify([ticket, tracks, want]);
  if (!own.use || own.wish !== wish) plan();
  own.wish = wish;
  own.use = Object.assign(own.use ?? { room, element }, { tracks, want });
  room.uses.add(own.use);
  if (element.hasAttribute("announce")) announcements();
  element.querySelectorAll("[data-presence-color]").forEach(paintColor);
  paint(element, room);
}

function repaint(room) {
  for (const { element } of room.uses) if (element) paint(element, room);
}

function paint(element, room) {
  const lost = ["reconnecting", "stopped"].includes(state) || room.refused === "expired";
  if (room.refused || room.known) set(element, "data-presence", lost ? "stale" : room.refused ? "refused" : state);
  if (room.known && !room.refused) KINDS[element.localName].paint(element, room);
}

/** Write only differences, as each change triggers another rendering. */
function set(element, name, value) {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/** Keep the server's own text node: a patcher of the page may refer to it. */
function setText(element, text) {
  const [node, ...others] = element.childNodes;
  if (!(node instanceof Text) || others.length) element.textContent = text;
  else if (node.data !== text) node.data = text;
}

/** 999, 1k, 1.2k, 3.4M: as shown_count() in Python. */
function shownCount(count) {
  const [unit, name] = count < 1e3 ? [1, ""] : count < 1e6 ? [1e3, "k"] : [1e6, "M"];
  return Math.floor((count * 10) / unit) / 10 + name;
}

function paintCount(element, { count }) {
  setText(element, shownCount(count));
}

function paintDot(element, { people, listed, partial, some }) {
  const id = element.getAttribute("of");
  if ((!listed || partial) && !some.includes(id)) return;
  const word = people.has(id) ? "online" : "offline";
  set(element, "online", word === "online" ? "" : null);
  set(element, "aria-label", element.getAttribute(`data-${word}`) ?? word);
}

function make(tag, className = "") {
  const element = page.createElement(tag);
  if (className) element.className = className;
  return element;
}

function paintAvatars(element, room) {
  if (!room.listed) return;
  const shown = room.list.slice(0, Number(element.getAttribute("max")) || Infinity);
  let list = element.querySelector(".presence-list");
  if (!list) element.prepend((list = make("span", "presence-list")));
  set(list, "role", shown.length ? "list" : null);
  const before = new Map([...list.children].map((child) => [child.getAttribute("data-id"), child]));
  shown.forEach((one, index) => {
    const avatar = before.get(one.id) ?? make("span", "presence-avatar");
    paintAvatar(avatar, one, nameOf(element, one));
    if (list.children[index] !== avatar) list.insertBefore(avatar, list.children[index] ?? null);
  });
  for (const child of [...list.children].slice(shown.length)) child.remove();
  const left = room.count - shown.length;
  let more = element.querySelector(".presence-more");
  if (left < 1) return more?.remove();
  if (!more) element.append((more = make("span", "presence-more")));
  setText(more, fill(element, "more", "+{}", shownCount(left)));
}

function paintAvatar(avatar, { id, color, avatar: src }, name) {
  set(avatar, "role", "listitem");
  set(avatar, "data-id", id);
  set(avatar, "title", name);
  set(avatar, "aria-label", name);
  const isColor = CSS.supports("color", color);
  set(avatar, "data-presence-color", isColor ? color : null);
  paintColor(avatar);
  for (let hue = 0; hue < 12; hue += 1) {
    const has = !isColor && hue === id.charCodeAt(0) % 12;
    if (avatar.classList.contains(`presence-hue-${hue}`) !== has) avatar.classList.toggle(`presence-hue-${hue}`);
  }
  let [content] = avatar.children;
  if (content?.localName !== (src ? "img" : "span"))
    avatar.replaceChildren((content = make(src ? "img" : "span")));
  if (src) {
    set(content, "alt", "");
    set(content, "src", String(src));
  } else {
    set(content, "aria-hidden", "true");
    setText(content, [...name][0].toUpperCase());
  }
}

/** Set the colour by script: a strict policy refuses style attributes. */
function paintColor(avatar) {
  const given = avatar.getAttribute("data-presence-color");
  const color = CSS.supports("color", given) ? given : ""; // not the address of a picture, for instance
  if (avatar.style.getPropertyValue("--presence-color") !== color)
    avatar.style.setProperty("--presence-color", color);
}

const nameOf = (element, one) => (nameless.has(one) && element.getAttribute("data-guest")) || one.name;
const fill = (element, name, text, value) =>
  (element.getAttribute(`data-${name}`) ?? text).replace("{}", () => value);

// --- Announcements: one polite region, filled in batches ---------------------------------------------

let region;
const news = new Map();

function announcements() {
  if (region) return;
  region = make("presence-announcements");
  region.setAttribute("role", "status");
  region.style.cssText = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)";
  root.append(region); // outside the body, which may be swapped
}

function announce(element, room, name, one) {
  if (one.id === room.me) return;
  const id = room.id + one.id;
  const word = name === "join" ? "joined" : "left";
  if (!news.size) {
    after(times.announce, () => {
      if (news.size <= MOST_NEWS) region.textContent = [...news.values()].map(([, text]) => `${text}.`).join(" ");
      news.clear();
    });
  }
  if (news.has(id) && news.get(id)[0] !== word) news.delete(id);
  else news.set(id, [word, fill(element, word, `{} ${word}`, nameOf(element, one))]);
}

// --- For scripts ---------------------------------------------------------------------------------------

const EVENTS = ["sync", "join", "leave", "update", "event", "refused"];
const errorOf = (code) => Object.assign(new Error(`djust_presence: ${code}`), { code });

async function askForTicket(key, kind) {
  const url = address(settings.ticket);
  url.searchParams.set("key", key);
  if (kind === "watches") url.searchParams.set("watch", "1");
  const response = await fetch(url, { cache: "no-store" }).catch(() => null);
  if (response?.ok) return response.json();
  throw errorOf({ 403: "forbidden", 404: "not-found" }[response?.status ?? 0] ?? "unavailable");
}

function handleOf(/** @type {any} */ room, tracks) {
  const listeners = new Map(EVENTS.map((name) => [name, new Set()]));
  const call = (listener, detail) => {
    try {
      listener(detail);
    } catch (error) {
      reportError(error); // and call the others
    }
  };
  const tell = (name, detail) =>
    (name !== "sync" || room.listed) && listeners.get(name)?.forEach((listener) => call(listener, detail));
  const use = { room, tracks, want: { list: true }, tell };
  const isIn = () => room.uses.has(use);
  const knows = () => isIn() && room.known && room.listed;
  const socket = () => (isIn() && line?.live && line.asked.has(room.id) ? line : null);
  room.uses.add(use);
  plan();

  return Object.freeze({
    /**
     * Call `listener` at each event; the first `sync` comes at once if the people are known. Returns a function to stop.
     * @type {(name: string, listener: (detail: any) => void) => () => void}
     */
    on(name, listener) {
      const heard = listeners.get(name);
      if (!heard) throw new TypeError(`A room has no event ${name}, but ${EVENTS.join(", ")}.`);
      const own = (detail) => listener(detail);
      heard.add(own);
      if (name === "sync" && knows()) queueMicrotask(() => heard.has(own) && call(own, room.list));
      return () => void heard.delete(own);
    },
    /** @type {() => readonly Person[]} the oldest first; the same array until somebody comes, goes or changes */
    list: () => (knows() ? room.list : []),
    /** @returns {number | null} */
    get count() {
      return knows() ? room.count : null;
    },
    /** @returns {string | null} the own id, where the reader takes part */
    get me() {
      return isIn() ? room.me : null;
    },
    /** Merge into the reader's own meta; null deletes a field. */
    update(/** @type {{[key: string]: string | number | boolean | null}} */ changes) {
      if (!isIn()) return;
      const merged = Object.entries({ ...room.meta, ...changes }).filter(([, value]) => value !== null);
      room.meta = Object.fromEntries(merged);
      if (socket()) line.send({ type: "update", room: room.id, meta: changes });
      else line?.sync();
    },
    /** Send to the others. Returns false without a socket. */
    send(/** @type {string} */ event, /** @type {any} */ payload = null) {
      socket()?.send({ type: "send", room: room.id, event, payload });
      return !!socket();
    },
    leave: () => leave(use),
  });
}

/** Take part in the room of an element. */
function attach(/** @type {string} */ id) {
  return handleOf(roomOf(id), true);
}

/**
 * Take part in the group `key`, or `watch` it, if AUTHORIZE grants it. Resolves once its people are known; rejects
 * with an error that has a `code`.
 * @type {(key: string, options?: {meta?: object, watch?: boolean}) => Promise<Room>}
 */
async function join(key, { meta, watch = false } = {}) {
  const kind = watch ? "watches" : "tracks";
  const { room: id, ticket } = await askForTicket(key, kind);
  const room = roomOf(id);
  const handle = handleOf(room, !watch);
  room.key = key;
  learn(room, kind, ticket);
  if (meta) handle.update(/** @type {any} */ (meta));
  await new Promise((resolve, reject) => {
    handle.on("sync", resolve);
    handle.on("refused", (code) => reject(errorOf(code)));
  }).catch((error) => {
    handle.leave();
    throw error;
  });
  return handle;
}

// --- One instance a page -------------------------------------------------------------------------------

function start() {
  for (const name of Object.keys(KINDS)) {
    if (customElements.get(name)) continue;
    customElements.define(
      name,
      class extends HTMLElement {
        connectedCallback() {
          observer.observe(this, {
            attributeFilter: ATTRIBUTES,
            childList: true,
            characterData: true,
            subtree: true,
          });
          lookAt(this);
        }

        disconnectedCallback() {
          const own = elements.get(this);
          own.timer = after(times.leave, () => {
            if (own.use) leave(own.use);
            own.use = null;
          });
        }
      },
    );
  }

  const begin = () => {
    if (started || /** @type {any} */ (page).prerendering) return;
    started = true;
    watchForPerson();
    connect();
  };
  const end = () => {
    started = false; // an open socket would keep the page out of the back/forward cache, and its reader in the group
    [retryTimer, trialTimer, fallTimer].forEach(clearTimeout);
    retryTimer = fallTimer = undefined;
    [line, line?.before, trial].forEach((one) => one?.bye());
    line = trial = null;
  };
  const wake = () => {
    watchForPerson();
    if (!isVisible() || !started) return;
    if (line?.ready) line.wake();
    if (line && !line.live && !trial && !trialTimer) tryLater(0);
  };
  page.addEventListener("prerenderingchange", begin);
  page.addEventListener("visibilitychange", wake);
  page.addEventListener("resume", wake);
  addEventListener("online", wake);
  addEventListener("pagehide", end);
  addEventListener("pageshow", begin);
  for (const gesture of ["pointerdown", "keydown", "wheel"]) addEventListener(gesture, meet, { passive: true });
  // presence.js, of a live page, may come after this script.
  if (page.readyState === "complete") begin();
  else addEventListener("DOMContentLoaded", begin);

  const shared = /** @type {any} */ (globalThis);
  // An element of this name is not an own property of the window.
  const own = Object.hasOwn(shared, "djustPresence") ? shared.djustPresence : {};
  return (shared.djustPresence = Object.assign(own, { attach, join }));
}

/** @type {{attach: typeof attach, join: typeof join, event?: (name: string, params?: object) => Promise<void>}} */
export const presence = (globalThis[Symbol.for("djust_presence.client")] ??= start());
