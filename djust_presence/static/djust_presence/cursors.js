/**
 * Live cursors: says where this page's pointer is on a shared surface, and draws those of the others there.
 *
 * `document[Symbol.for("djust_presence.cursors")]` connects it with a server: given `send(frame)`, it returns
 * what it wants to be told: online(), offline(), rendered() after changes to the page, and show(frame) with
 * what the server says. The frames are those of the protocol, "cursors" and "cursor".
 *
 * What the page can go by:
 *   <live-cursors name guest>     its first element is a surface; `guest` is whoever has no name
 *   [data-cursor-anchor], [id]    in a surface: what the pointer is over, and is drawn over elsewhere
 *   [data-presence-cursors=off]   on <html> or <live-cursors>: the others' cursors are not drawn
 *   <presence-cursors>            what they are drawn in: the parts cursor, arrow, pulse and label, and
 *                                 --presence-color, --presence-cursor-size, -font, -text and -idle
 */
(() => {
  "use strict";

  const CURSORS = Symbol.for("djust_presence.cursors");
  if (document[CURSORS]) return;

  const TAG = "live-cursors";
  const ANCHOR = "data-cursor-anchor";
  const SWITCH = "data-presence-cursors";
  const LONGEST_NAME = 128; // characters
  const USUAL_RATE = 30; // a second
  const MOST = 50; // drawn at once
  const SHORTEST_STEP = 16; // milliseconds, like all times here
  const LONGEST_STEP = 120;
  const STILL = 3_000;
  const IDLE = 6_000;
  const LOOK_AGAIN = 500;
  const LIFT = 500;
  const EDGE = 260; // pixels, about the widest label

  // --- Where things are -------------------------------------------------------------------------------

  const tags = document.getElementsByTagName(TAG);
  const boxes = new Map(); // element → its box, for as long as nothing moves
  const layouts = new Map(); // element → what its style and content say, for as long as LOOK_AGAIN
  let lookedAt = 0;

  /** Begin to look at the page. What layouts miss is put right with the next look: a script may change anything. */
  function look(now) {
    boxes.clear();
    if (now - lookedAt < LOOK_AGAIN) return;
    layouts.clear();
    lookedAt = now;
  }

  const nameOf = (tag) => tag.getAttribute("name") || null;
  const isOn = (element) => element.getAttribute(SWITCH) !== "off";

  /** The tag of that name: the first, if there are several. */
  const tagNamed = (name) => Array.prototype.find.call(tags, (tag) => nameOf(tag) === name);

  /** The first element of a tag that is more than a frame around others. */
  function surfaceOf(tag) {
    let element = tag.firstElementChild;
    while (element?.matches(`live-region, ${TAG}`)) element = element.firstElementChild;
    return element;
  }

  /** The tag on whose surface the element is. */
  function tagAround(element) {
    let tag = element?.closest(TAG);
    while (tag && !(surfaceOf(tag)?.contains(element) && tagNamed(nameOf(tag)) === tag)) {
      tag = tag.parentElement?.closest(TAG);
    }
    return tag;
  }

  function layoutOf(element) {
    let layout = layouts.get(element);
    if (!layout) {
      const { overflowX, overflowY, direction } = getComputedStyle(element);
      const outer = element.parentElement;
      // What overflows the body scrolls with the page.
      const around = !outer || outer === document.body ? [] : layoutOf(outer).clips;
      const clips = overflowX === "visible" && overflowY === "visible" ? around : [element, ...around];
      const scrolls = /auto|scroll|hidden/.test(overflowX + overflowY);
      layout = { clips, scrolls, fromRight: direction === "rtl", anchors: new Map() };
      layouts.set(element, layout);
    }
    return layout;
  }

  const scale = (shown, own) => (own && Math.abs(shown - own) >= 1 ? shown / own : 1);

  /**
   * Where an element's content is: its upper left corner on the screen, scrolled as it is; its size in pixels of
   * its own; and how large these are on the screen, which transforms and zoom may have changed.
   */
  function boxOf(element) {
    let box = boxes.get(element);
    if (box) return box;
    const rect = element.getBoundingClientRect();
    const { clientLeft, clientTop, clientWidth, clientHeight } = element;
    const scaleX = scale(rect.width, element.offsetWidth ?? clientWidth);
    const scaleY = scale(rect.height, element.offsetHeight ?? clientHeight);
    let left = clientLeft;
    let top = clientTop;
    let width = clientWidth || rect.width / scaleX; // inline elements have none
    let height = clientHeight || rect.height / scaleY;
    const { scrolls, fromRight } = layoutOf(element);
    if (scrolls) {
      const { scrollLeft, scrollTop, scrollWidth, scrollHeight } = element;
      left -= scrollLeft + (fromRight ? scrollWidth - clientWidth : 0);
      top -= scrollTop;
      width = scrollWidth;
      height = scrollHeight;
    }
    box = { rect, x: rect.left + left * scaleX, y: rect.top + top * scaleY, width, height, scaleX, scaleY };
    boxes.set(element, box);
    return box;
  }

  const hasBox = (element) => {
    const { width, height } = boxOf(element).rect;
    return width >= 0.5 && height >= 0.5;
  };

  /** From the screen into a box. */
  const inside = ({ x, y, scaleX, scaleY }, point) => ({
    x: (point.x - x) / scaleX,
    y: (point.y - y) / scaleY,
  });

  /** From a box to the screen; `w` and `h` are the size that it has where the point was taken. */
  const outside = (box, x, y, w, h) => ({
    x: box.x + x * (w > 0 ? box.width / w : 1) * box.scaleX,
    y: box.y + y * (h > 0 ? box.height / h : 1) * box.scaleY,
  });

  const contains = ({ left, top, right, bottom }, { x, y }) =>
    x >= left && x <= right && y >= top && y <= bottom;

  /** The first element on a surface that has this name, as an anchor or an id. */
  function anchorNamed(surface, name) {
    const { anchors } = layoutOf(surface);
    if (!anchors.has(name)) {
      const escaped = CSS.escape(name);
      anchors.set(name, surface.querySelector(`[${ANCHOR}="${escaped}"], #${escaped}`));
    }
    return anchors.get(name);
  }

  /** The nearest element around that others can find as well. */
  function anchorAround(element, surface) {
    for (; element !== surface; element = element.parentElement) {
      const name = element.getAttribute(ANCHOR) || element.getAttribute("id");
      if (!name || name.length > LONGEST_NAME || element.localName === "live-region") continue;
      if (hasBox(element) && anchorNamed(surface, name) === element) return { name, element };
    }
    return null;
  }

  // --- This page's pointer ----------------------------------------------------------------------------

  const NOWHERE = { type: "cursor", x: null };

  let send = null;
  let live = false;
  let announced = false;
  let rate = USUAL_RATE;
  let pointer = null;
  let said = JSON.stringify(NOWHERE);
  let saidAt = -Infinity;
  let reportTimer = null;

  /** Let the server know that there is something to draw on. */
  function announce() {
    if (!live || announced || !Array.prototype.some.call(tags, surfaceOf)) return;
    announced = true;
    send({ type: "cursors" });
  }

  function position() {
    // Not the target of the event: that may have captured the pointer, or have been scrolled away.
    const element = pointer && document.elementFromPoint(pointer.x, pointer.y);
    const tag = tagAround(element);
    const surface = tag && surfaceOf(tag);
    if (!surface || !hasBox(surface)) return NOWHERE;
    const [x, y, w, h] = measured(surface);
    const frame = { type: "cursor", x, y, w, h };
    const anchor = anchorAround(element, surface);
    if (anchor) {
      const [ax, ay, aw, ah] = measured(anchor.element);
      Object.assign(frame, { anchor: anchor.name, ax, ay, aw, ah });
    }
    const name = nameOf(tag);
    if (name) frame.surface = name;
    if (pointer.touch) frame.touch = true;
    return frame;
  }

  /** The pointer's place in an element, and that one's size. */
  function measured(element) {
    const box = boxOf(element);
    const { x, y } = inside(box, pointer);
    return [x, y, box.width, box.height].map(Math.round);
  }

  /** Say where the pointer is, if it is not where it was said to be; not more often than the rate allows. */
  function report() {
    if (!live) return;
    const now = performance.now();
    const wait = pointer ? saidAt + 1_000 / rate - now : 0;
    if (wait > 0) {
      reportTimer ??= setTimeout(() => {
        reportTimer = null;
        report();
      }, wait);
      return;
    }
    clearTimeout(reportTimer);
    reportTimer = null;
    look(now);
    const frame = position();
    const text = JSON.stringify(frame);
    if (text === said) return;
    said = text;
    if (frame !== NOWHERE) saidAt = now;
    send(frame);
  }

  function onPointer({ isPrimary, pointerId, pointerType, clientX, clientY }) {
    if (!isPrimary) return;
    pointer = { id: pointerId, x: clientX, y: clientY, touch: pointerType === "touch" };
    report();
  }

  function leave() {
    pointer = null;
    report();
  }

  // --- Everybody else's -------------------------------------------------------------------------------

  const people = new Map(); // number → {id, name, color}
  const cursors = new Map(); // number → cursor, whoever moved last at the end
  const drawn = new Set();
  let you = null;
  let request = null;
  let drawTimer = null;

  function show({ you: me, rate: limit, all, who = {}, moves = [], gone = [] }) {
    if (me) you = me;
    if (limit > 0) rate = limit;
    if (all) {
      const there = new Set(moves.map(([number]) => number));
      for (const number of [...people.keys(), ...cursors.keys()]) if (!there.has(number)) forget(number);
    }
    for (const [number, person] of Object.entries(who)) people.set(Number(number), person);
    const now = performance.now();
    for (const [number, ...place] of moves) move(number, place, now);
    for (const number of gone) forget(number);
    schedule();
  }

  function move(number, place, now) {
    const cursor = cursors.get(number) ?? { number, movedAt: -Infinity };
    const text = place.join();
    if (cursor.text === text) return; // it is mentioned, but has not moved
    const [x, y, w, h, anchor, ax, ay, aw, ah, surface = null, touch] = place;
    // From where it is drawn by now, which may be short of where it was.
    const from = cursor.surface === surface ? cursor.at : null;
    const step = Math.min(Math.max(now - cursor.movedAt, SHORTEST_STEP), LONGEST_STEP);
    Object.assign(cursor, { x, y, w, h, anchor, ax, ay, aw, ah, surface, touch: Boolean(touch) });
    Object.assign(cursor, { text, from, step, movedAt: now });
    cursors.delete(number);
    cursors.set(number, cursor);
  }

  function forget(number) {
    const cursor = cursors.get(number);
    people.delete(number);
    cursors.delete(number);
    if (!drawn.has(cursor)) return;
    const { element, touch } = cursor;
    erase(cursor);
    // A tap is over before anybody has seen it.
    if (touch && !calm.matches) {
      layer.shadowRoot.append(element);
      element.animate({ opacity: [1, 0] }, LIFT).finished.then(() => element.remove());
    }
  }

  function forgetAll() {
    people.clear();
    cursors.clear();
    drawn.clear();
    layer.shadowRoot.replaceChildren();
    you = null;
    rate = USUAL_RATE;
  }

  const schedule = () => (request ??= requestAnimationFrame(draw));
  const redraw = () => draw(performance.now());

  /** Put every cursor where it is at that time: first all reading of the page, then all writing. */
  function draw(now) {
    cancelAnimationFrame(request);
    request = null;
    look(now);
    const on = isOn(document.documentElement);
    if (layer.hidden === on) layer.hidden = !on;
    const places = new Map();
    let moving = false;
    for (const cursor of on ? [...cursors.values()].reverse() : []) {
      if (places.size === MOST) break;
      const progress = !cursor.from || calm.matches ? 1 : Math.max(now - cursor.movedAt, 0) / cursor.step;
      const point = place(cursor, Math.min(progress, 1));
      if (point) places.set(cursor, point);
      moving ||= progress < 1;
    }
    for (const cursor of drawn) if (!places.has(cursor)) erase(cursor);
    for (const [cursor, point] of places) paint(cursor, point, now);
    if (moving) schedule();
    // For labels that fade, and for what has changed in the page without a word.
    if (cursors.size) drawTimer ??= setTimeout(onDrawTimer, LOOK_AGAIN);
  }

  function onDrawTimer() {
    drawTimer = null;
    if (!document.hidden) redraw();
    else schedule();
  }

  /** The cursor's point on the screen, and in the layer; null if there is nothing to be seen of it. */
  function place(cursor, progress) {
    const tag = tagNamed(cursor.surface);
    const surface = tag && isOn(tag) && surfaceOf(tag);
    const person = people.get(cursor.number);
    if (!surface || !hasBox(surface) || !person || person.id === you) return null;
    const { x, y, w, h, anchor, ax, ay, aw, ah, from } = cursor;
    const named = anchor && anchorNamed(surface, anchor);
    const over = named && hasBox(named) ? named : surface;
    const point = over === surface ? outside(boxOf(surface), x, y, w, h) : outside(boxOf(over), ax, ay, aw, ah);
    if (progress < 1) {
      const start = outside(boxOf(surface), from.x, from.y);
      point.x = start.x + (point.x - start.x) * progress;
      point.y = start.y + (point.y - start.y) * progress;
    }
    const visible = [layer, ...layoutOf(over).clips].every((element) => contains(boxOf(element).rect, point));
    if (!visible) return null;
    const at = inside(boxOf(surface), point);
    return { at, tag, still: progress === 1, ...inside(boxOf(layer), point) };
  }

  function erase(cursor) {
    cursor.element.remove();
    cursor.at = null;
    drawn.delete(cursor);
  }

  function paint(cursor, { x, y, at, tag, still }, now) {
    cursor.element ??= build(cursor);
    dress(cursor, people.get(cursor.number), tag.getAttribute("guest") || "Guest");
    if (!drawn.has(cursor)) {
      drawn.add(cursor);
      layer.shadowRoot.append(cursor.element);
    }
    cursor.at = at;
    // Text is sharp on whole pixels, and only there.
    const [left, top] = still ? [Math.round(x), Math.round(y)] : [x, y];
    const transform = `translate(${left.toFixed(2)}px, ${top.toFixed(2)}px)`;
    if (cursor.transform !== transform) cursor.element.style.transform = cursor.transform = transform;
    const { width, height } = boxOf(layer);
    const rest = now - cursor.movedAt;
    const state = [
      "cursor",
      cursor.touch && "touch",
      rest >= STILL && "still",
      rest >= IDLE && "idle",
      x > width - EDGE && x + labelWidth(cursor) > width && "left",
      y > height - 48 && "up",
    ];
    const names = state.filter(Boolean).join(" ");
    if (cursor.names !== names) cursor.element.className = cursor.names = names;
  }

  const labelWidth = (cursor) => (cursor.width ??= cursor.label.offsetWidth + 20);

  function build(cursor) {
    const element = pattern.cloneNode(true);
    cursor.label = element.querySelector(".label");
    return element;
  }

  function dress(cursor, { name, color }, guest) {
    const shown = typeof name === "string" && name.trim() ? name : guest;
    if (cursor.name !== shown) {
      cursor.label.textContent = cursor.name = shown;
      cursor.width = null;
    }
    if (cursor.color === color) return;
    cursor.color = color;
    if (typeof color === "string" && CSS.supports("color", color)) {
      cursor.element.style.setProperty("--presence-color", color);
    } else cursor.element.style.removeProperty("--presence-color");
  }

  // --- What they are drawn with -----------------------------------------------------------------------

  const sheet = new CSSStyleSheet();
  // No filters, no blending: dozens of these move at once.
  sheet.replaceSync(`
    :host { position: fixed; inset: 0; z-index: 2147483646; contain: strict; pointer-events: none }
    :host([hidden]) { display: none }
    @media print { :host { display: none } }
    .cursor {
      --color: var(--presence-color, #5b5bd6);
      all: initial; direction: ltr; pointer-events: none; forced-color-adjust: none;
      position: absolute; inset: 0 auto auto 0; width: 0; height: 0;
      will-change: transform; transition: opacity 0.4s; animation: appear 0.15s;
    }
    .cursor.idle { opacity: var(--presence-cursor-idle, 0.4) }
    .arrow {
      --size: var(--presence-cursor-size, 21px);
      position: absolute; inset: 0 auto auto 0; width: var(--size); height: var(--size); overflow: visible;
      fill: var(--color); stroke: #fff; stroke-width: 3px; stroke-linejoin: round; paint-order: stroke;
    }
    .shade { fill: none; stroke: #00000040; stroke-width: 5px }
    .pulse {
      display: none; position: absolute; inset: -13px auto auto -13px; width: 26px; height: 26px;
      border-radius: 50%; box-shadow: 0 0 0 1.5px #fff, 0 0 4px 2px #0004;
    }
    .pulse::before, .pulse::after {
      content: ""; position: absolute; inset: 0; border-radius: 50%; background: var(--color); opacity: 0.75;
    }
    .pulse::after { animation: pulse 1.2s ease-out infinite }
    .touch .arrow { display: none }
    .touch .pulse { display: block }
    .label {
      position: absolute; inset: 16px auto auto 13px; box-sizing: border-box; width: max-content;
      max-width: 220px; padding: 1px 9px 2px; border: 1px solid #ffffffa6; border-radius: 4px 11px 11px 11px;
      box-shadow: 0 1px 4px #0000003d; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
      font: var(--presence-cursor-font, 600 12px/18px system-ui, sans-serif);
      background: var(--color); color: var(--presence-cursor-text, #fff); transition: opacity 0.4s;
    }
    .touch .label { inset: 12px auto auto 16px }
    .left .label { inset: 16px 2px auto auto; border-radius: 11px 4px 11px 11px }
    .up .label { inset: auto auto 6px 16px; border-radius: 11px 11px 11px 4px }
    .left.up .label { inset: auto 6px 6px auto; border-radius: 11px 11px 4px 11px }
    .still .label { opacity: 0 }
    @supports (color: lch(from red l 0 h)) {
      /* Black above the lightness at which black and white stand out alike, white below. */
      .label { color: var(--presence-cursor-text, lch(from var(--color) calc((49.44 - l) * 1000) 0 h)) }
    }
    @supports not (color: lch(from red l 0 h)) {
      .label { text-shadow: 0 0 2px #000, 0 0 1px #000 }
    }
    @keyframes appear { from { opacity: 0 } }
    @keyframes pulse { to { transform: scale(2.2); opacity: 0 } }
    @media (prefers-reduced-motion: reduce) {
      .cursor, .label { animation: none; transition: none }
      .pulse::after { animation: none; transform: scale(1.4); opacity: 0.35 }
    }
  `);

  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const layer = document.createElement("presence-cursors");
  layer.ariaHidden = "true";
  layer.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet];

  const template = document.createElement("template");
  const arrow = "M0 0 5.9 17.2 8.9 10 16.2 7.1Z";
  template.innerHTML = `
    <div class="cursor" part="cursor">
      <svg class="arrow" part="arrow" viewBox="0 0 20 20"><path class="shade" d="${arrow}"/><path d="${arrow}"/></svg>
      <span class="pulse" part="pulse"></span>
      <span class="label" part="label" dir="auto"></span>
    </div>`;
  const pattern = template.content.firstElementChild;

  // --- Start ------------------------------------------------------------------------------------------

  document[CURSORS] = (transport) => {
    send = transport.send;
    // Outside the body, which may be patched or swapped as a whole.
    document.documentElement.append(layer);

    const options = { capture: true, passive: true };
    window.addEventListener("pointermove", onPointer, options);
    window.addEventListener("pointerdown", onPointer, options);
    document.documentElement.addEventListener(
      "pointerleave",
      ({ pointerId }) => pointerId === pointer?.id && leave(),
    );
    document.addEventListener("visibilitychange", () => document.hidden && leave());
    document.addEventListener(
      "scroll",
      () => {
        if (pointer) report();
        if (cursors.size) schedule();
      },
      options,
    );
    const rendered = () => {
      layouts.clear();
      announce();
      if (cursors.size) schedule();
    };
    window.addEventListener("resize", rendered);
    const switches = { subtree: true, attributes: true, attributeFilter: [SWITCH] };
    new MutationObserver(redraw).observe(document.documentElement, switches);

    return {
      show,
      rendered,
      online() {
        live = true;
        announced = false;
        announce();
      },
      offline() {
        live = false;
        pointer = null; // whoever has not moved since is not there, for all that is known
        said = JSON.stringify(NOWHERE);
        clearTimeout(reportTimer);
        reportTimer = null;
        forgetAll();
      },
    };
  };
})();
