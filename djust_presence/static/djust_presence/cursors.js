/**
 * Live cursors: sends the position of this page's pointer on a shared surface, and draws those of the others there.
 *
 * `document[Symbol.for("djust_presence.cursors")]` connects it with a server: given `send(frame)`, it returns the
 * functions to call: online(), offline(), rendered() after changes to the page, and show(frame) with a frame of
 * the server. The frames are those of the protocol, "cursors" and "cursor".
 *
 * The interface for pages:
 *   <live-cursors name guest>     its first element is a surface; `guest` is the label for users without a name
 *   [data-cursor-anchor], [id]    in a surface: elements to which positions are anchored
 *   [data-presence-cursors=off]   on <html> or <live-cursors>: the others' cursors are not drawn
 *   <presence-cursors>            what they are drawn in: the parts cursor, arrow, pulse and label, and
 *                                 --presence-color, --presence-cursor-size, -font, -text and -idle
 */
(() => {
  "use strict";

  const { bare, document, plainColor } = window.document[Symbol.for("djust_presence.parts")].base;
  const CURSORS = Symbol.for("djust_presence.cursors");
  if (document[CURSORS]) return;

  const TAG = "live-cursors";
  const ANCHOR = "data-cursor-anchor";
  const SWITCH = "data-presence-cursors";
  const TOP = ":where(:modal, :popover-open, :fullscreen)"; // elements in the browser's top layer
  const LONGEST_NAME = 128; // characters
  const USUAL_RATE = 30; // a second
  const MOST = 50; // cursors that are drawn
  const NEW_AT_ONCE = 10; // that are made in one frame, as that takes some time
  const SHORTEST_STEP = 16; // milliseconds, like all times here
  const LONGEST_STEP = 120;
  const STILL = 3_000;
  const IDLE = 6_000;
  const LOOK_AGAIN = 100;
  const LOOK_CLOSELY = 2_000;
  const DRAW_AGAIN = 500;
  const LONGEST_REST = 50;
  const SHARE = 1 / 40; // of the page's time, that drawing may take
  const LIFT = 500;
  const CHARACTER = 10; // pixels that one takes in a label: to measure them would hold up the drawing
  const PADDING = 40;
  const WIDEST = 240; // pixels that any label takes
  const HIGHEST = 48;
  const ROUNDING = 0.01;

  // --- Geometry ---

  const tags = document.getElementsByTagName(TAG);
  const rects = new Map(); // element → its rectangle, kept while nothing moves
  const frames = new Map(); // the same, and of the boxes
  const boxes = new Map();
  const layouts = new Map(); // element → its seldom changing measures, kept for LOOK_CLOSELY
  const zooms = new Map(); // element → its CSS zoom times that of its ancestors, kept like the layouts
  let studiedAt = 0;
  let lookedAt = 0;
  let fresh = false;

  /**
   * Begin a measurement of the page. It is measured again after a scroll or a rendering; and every now and then,
   * as a script may change anything.
   */
  function look(now) {
    if (now - studiedAt >= LOOK_CLOSELY) {
      forgetLayouts();
      studiedAt = now;
      fresh = false;
    }
    if (fresh && now - lookedAt < LOOK_AGAIN) return;
    rects.clear();
    frames.clear();
    boxes.clear();
    lookedAt = now;
    fresh = true;
  }

  const nameOf = (tag) => tag.getAttribute("name") || null;
  const isOn = (element) => element.getAttribute(SWITCH) !== "off";

  /** The tag of that name: the first, if there are several. */
  const tagNamed = (name) => Array.prototype.find.call(tags, (tag) => nameOf(tag) === name);

  /** The first element of a tag that is not just a frame around others. */
  function surfaceOf(tag) {
    let element = tag.firstElementChild;
    while (element && bare(element).matches(`live-region, ${TAG}`)) element = element.firstElementChild;
    return element;
  }

  /** The tag on whose surface the element is. */
  function tagAround(element) {
    let tag = element;
    while ((tag = tag && bare(tag).closest(TAG))) {
      const surface = surfaceOf(tag);
      if (surface && bare(surface).contains(element) && tagNamed(nameOf(tag)) === tag) break;
      tag = tag.parentElement;
    }
    return tag;
  }

  /** The element in which an element is laid out: none in the top layer. */
  function outerOf(element) {
    const { assignedSlot, parentElement, parentNode } = bare(element);
    if (bare(element).matches(TOP)) return null;
    return assignedSlot ?? parentElement ?? (parentNode instanceof ShadowRoot ? parentNode.host : null);
  }

  /** The transforms of an element and its ancestors, as one matrix. */
  function turnOf(element) {
    const { ownerSVGElement, clientWidth } = bare(element);
    const outer = outerOf(element);
    const turn = outer ? layoutOf(outer).turn : new DOMMatrix();
    // Parts of a drawing are taken as they look in it; an element without a box has no transform.
    const { display, transform, rotate = "none", scale = "none" } = getComputedStyle(element);
    if (ownerSVGElement || display === "contents" || (display === "inline" && !clientWidth)) return turn;
    if (transform === "none" && rotate === "none" && scale === "none") return turn;
    const [angle, ...axis] = rotate === "none" ? ["0"] : rotate.split(" ").reverse();
    const [x, y, z] = { x: [1, 0, 0], y: [0, 1, 0] }[axis] ?? (axis.length ? axis.reverse() : [0, 0, 1]);
    return turn
      .rotateAxisAngle(x, y, z, parseFloat(angle))
      .scale(...(scale === "none" ? [1] : scale.split(" ")))
      .multiply(new DOMMatrix(transform));
  }

  const { abs, hypot } = Math;
  const ratio = (shown, own) => (own && abs(shown - own) >= 1 ? shown / own : 1);

  /** Width and height before any transform; 0 for parts of a drawing. */
  function sizeOf(element) {
    const { clientWidth, clientHeight, offsetWidth = clientWidth, offsetHeight = clientHeight } = bare(element);
    return [offsetWidth, offsetHeight]; // of SVG only the outermost element has one
  }

  /** The axes of an element on the screen, each as long as a pixel of its own: x is (a, b), y is (c, d). */
  function axesOf(element, turn) {
    const [a, b, c, d] = [turn.a, turn.b, turn.c, turn.d].map((part) => (abs(part) < 1e-9 ? 0 : part));
    const [width, height] = sizeOf(element);
    if (!width) {
      const [x, y] = [hypot(a, b), hypot(c, d)];
      return { a: a / x, b: b / x, c: c / y, d: d / y };
    }
    // Other causes of its size: zoom, a drawing around it.
    const rect = rectOf(element);
    const right = ratio(rect.width, abs(a) * width + abs(c) * height);
    const down = ratio(rect.height, abs(b) * width + abs(d) * height);
    return { a: a * right, b: b * down, c: c * right, d: d * down };
  }

  function layoutOf(element) {
    let layout = layouts.get(element);
    if (layout) return layout;
    const { overflowX, overflowY, direction } = getComputedStyle(element);
    const outer = outerOf(element);
    const around = outer && layoutOf(outer);
    const clips = around?.clips ?? [];
    // Content that overflows the body scrolls with the page.
    const isPage = [document.documentElement, document.body].includes(element);
    const isOpen = isPage || (overflowX === "visible" && overflowY === "visible");
    const { clientLeft, clientTop, clientWidth, clientHeight } = bare(element);
    const [width, height] = sizeOf(element);
    const turn = turnOf(element);
    const axes = axesOf(element, turn);
    const slanted = Boolean((axes.a && axes.b) || (axes.c && axes.d));
    layout = {
      clips: isOpen ? clips : [element, ...clips],
      // The element of the top layer around it. The layer is in <html>, not in the element's ancestors.
      top: outer || element === document.documentElement ? (around?.top ?? null) : element,
      turn,
      axes,
      slanted,
      // The bounding box of a slanted element tells its place if the element is one rectangle.
      vague: slanted && (!width || bare(element).getClientRects().length > 1),
      scrolls: /auto|scroll|hidden/.test(overflowX + overflowY),
      fromRight: direction === "rtl",
      left: clientLeft,
      upper: clientTop,
      // Borders and scroll bars. Inline elements have no inside.
      edgesX: clientWidth && width - clientWidth,
      edgesY: clientHeight && height - clientHeight,
      anchors: new Map(),
    };
    layouts.set(element, layout);
    return layout;
  }

  function forgetLayouts() {
    layouts.clear();
    zooms.clear();
  }

  const MUST_ZOOM = !("currentCSSZoom" in Element.prototype);

  /** The factor for rectangles of Safari, and of Chromium before 128, which leave CSS zoom out. */
  function zoomOf(element) {
    if (!MUST_ZOOM || !element) return 1;
    if (!zooms.has(element)) {
      const own = Number(getComputedStyle(element).zoom) || 1; // Firefox before 126 has none
      zooms.set(element, own * zoomOf(bare(element).parentElement));
    }
    return zooms.get(element);
  }

  function rectOf(element) {
    let rect = rects.get(element);
    if (!rect) {
      const { left, top, right, bottom, width, height } = bare(element).getBoundingClientRect();
      rects.set(element, (rect = { left, top, right, bottom, width, height }));
      const zoom = zoomOf(element);
      if (zoom !== 1) for (const side of Object.keys(rect)) rect[side] *= zoom;
    }
    return rect;
  }

  /** An element with its borders: its first corner on the screen, its axes there, and its size in pixels of its own. */
  function frameOf(element) {
    let frame = frames.get(element);
    if (frame) return frame;
    const { left, right, top, bottom, width: w, height: h } = rectOf(element);
    const { axes, slanted } = layoutOf(element);
    const { a, b, c, d } = axes;
    const [width, height] = slanted
      ? sizeOf(element)
      : [(abs(a) * w + abs(b) * h) / (a * a + b * b), (abs(c) * w + abs(d) * h) / (c * c + d * d)];
    // Its centre is that of its bounding box, whatever the transform.
    const x = (left + right - a * width - c * height) / 2;
    const y = (top + bottom - b * width - d * height) / 2;
    frames.set(element, (frame = { ...axes, x, y, width, height }));
    return frame;
  }

  /** The same of the content inside the borders, with its full size and scroll position. */
  function boxOf(element) {
    let box = boxes.get(element);
    if (box) return box;
    const frame = frameOf(element);
    const { scrolls, fromRight, left, upper, edgesX, edgesY } = layoutOf(element);
    const width = frame.width - edgesX;
    const height = frame.height - edgesY;
    box = { ...frame, width, height, ...outside(frame, left, upper) };
    if (scrolls) {
      const { scrollLeft, scrollTop, scrollWidth, scrollHeight } = bare(element);
      box.width = scrollWidth;
      box.height = scrollHeight;
      Object.assign(box, outside(box, -scrollLeft - (fromRight ? scrollWidth - width : 0), -scrollTop));
    }
    boxes.set(element, box);
    return box;
  }

  /** Whether positions can be given relative to it. */
  function hasBox(element) {
    const { width, height } = rectOf(element);
    return width >= 0.5 && height >= 0.5 && !layoutOf(element).vague;
  }

  /** From the screen into a box. */
  function inside({ x, y, a, b, c, d }, point) {
    const [right, down, area] = [point.x - x, point.y - y, a * d - b * c];
    return { x: (right * d - down * c) / area, y: (down * a - right * b) / area };
  }

  /** From a box to the screen. */
  const outside = ({ x, y, a, b, c, d }, right, down) => ({
    x: x + right * a + down * c,
    y: y + right * b + down * d,
  });

  /** The same, if the box had the size `w` and `h` where the point was taken. */
  const scaled = (box, x, y, w, h) =>
    outside(box, x * (w > 0 ? box.width / w : 1), y * (h > 0 ? box.height / h : 1));

  function contains(element, point) {
    const frame = frameOf(element);
    const { x, y } = inside(frame, point);
    const lies = (place, size) => place >= -ROUNDING && place <= size + ROUNDING;
    return lies(x, frame.width) && lies(y, frame.height);
  }

  /** The first element on a surface that has this name, as an anchor or an id. */
  function anchorNamed(surface, name) {
    const { anchors } = layoutOf(surface);
    if (!anchors.has(name)) {
      const escaped = CSS.escape(name);
      anchors.set(name, bare(surface).querySelector(`[${ANCHOR}="${escaped}"], #${escaped}`));
    }
    return anchors.get(name);
  }

  /** The nearest ancestor that other pages can find as well. */
  function anchorAround(element, surface) {
    for (; element !== surface; element = bare(element).parentElement) {
      const plain = bare(element);
      const name = plain.getAttribute(ANCHOR) || plain.getAttribute("id");
      if (!name || name.length > LONGEST_NAME || plain.localName === "live-region") continue;
      if (hasBox(element) && anchorNamed(surface, name) === element) return { name, element };
    }
    return null;
  }

  // --- This page's pointer ---

  const NOWHERE = { type: "cursor", x: null };

  let send = null;
  let live = false;
  let announced = false;
  let heard = false; // whether the server has sent any cursor frame since: otherwise it takes none
  let rate = USUAL_RATE;
  let pointer = null;
  let said = JSON.stringify(NOWHERE);
  let saidAt = -Infinity;
  let reportTimer = null;

  /** Tell the server that this page draws cursors. */
  function announce() {
    if (!live || announced || !Array.prototype.some.call(tags, surfaceOf)) return;
    announced = true;
    send({ type: "cursors" });
  }

  /** Whether moves over an element belong to another document. */
  const isFrame = (element) => Boolean(element.contentWindow) || element.localName === "embed";

  function position() {
    // Not the target of the event: that may have captured the pointer, or have been scrolled away.
    const element = pointer && document.elementFromPoint(pointer.x, pointer.y);
    const tag = element && !isFrame(bare(element)) && tagAround(element);
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

  /** Send the pointer's position if it has changed, as often as the rate allows. */
  function report() {
    if (!live || !heard) return;
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
    fresh = false;
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

  // --- Everybody else's ---

  const [SURFACE, TOUCH] = [10, 11]; // in a move: number, x, y, w, h, anchor, ax, ay, aw, ah, surface, touch

  const people = new Map(); // number → {id, name, color}
  const cursors = new Map(); // number → cursor, whoever moved last at the end
  const drawn = new Set();
  let you = null;
  let request = null;
  let drawTimer = null;
  let effort = 0; // what drawing takes, on average
  let restUntil = 0;

  function show({ you: me, rate: limit, all, who = {}, moves = [], gone = [] }) {
    if (me !== undefined) you = me;
    if (limit > 0) rate = limit;
    if (all) {
      const there = new Set(moves.map(([number]) => number));
      for (const number of [...people.keys(), ...cursors.keys()]) if (!there.has(number)) forget(number);
    }
    for (const [number, person] of Object.entries(who)) people.set(Number(number), person);
    const now = performance.now();
    for (const move of moves) take(move, now);
    for (const number of gone) forget(number);
    schedule();
    if (!heard) {
      heard = true;
      if (pointer) report();
    }
  }

  function take(move, now) {
    const [number] = move;
    const surface = move[SURFACE] ?? null;
    let cursor = cursors.get(number);
    if (!cursor) cursor = { number, move: null, movedAt: -Infinity, at: null, point: null };
    else if (isSame(cursor.move, move)) return; // it is in the frame, but has not moved
    cursor.from = cursor.surface === surface ? cursor.at : null; // where it is drawn at this moment
    cursor.step = Math.min(Math.max(now - cursor.movedAt, SHORTEST_STEP), LONGEST_STEP);
    cursor.move = move;
    cursor.movedAt = now;
    cursor.surface = surface;
    cursor.touch = Boolean(move[TOUCH]);
    cursors.delete(number);
    cursors.set(number, cursor);
  }

  const isSame = (a, b) => a.length === b.length && a.every((field, index) => field === b[index]);

  function forget(number) {
    const cursor = cursors.get(number);
    people.delete(number);
    cursors.delete(number);
    if (!drawn.has(cursor)) return;
    const { element, touch, stage } = cursor;
    erase(cursor);
    // A tap is too short to be seen.
    if (touch && !calm.matches) {
      stage.append(element);
      element.animate({ opacity: [1, 0] }, LIFT).finished.then(() => element.remove());
    }
  }

  function forgetAll() {
    people.clear();
    cursors.clear();
    for (const cursor of drawn) erase(cursor);
    you = null;
    rate = USUAL_RATE;
  }

  const schedule = () => (request ??= requestAnimationFrame(onFrame));
  const redraw = () => draw(performance.now());

  /** Draw, with rests in between: on a slow machine many cursors move in larger steps instead of blocking the page. */
  function onFrame(now) {
    request = null;
    if (now < restUntil) {
      schedule();
      return;
    }
    const began = performance.now();
    draw(now);
    effort += (performance.now() - began - effort) / 10;
    restUntil = now + Math.min(effort / SHARE, LONGEST_REST);
  }

  /** Move every cursor to its place at that time: first all reads of the page, then all writes. */
  function draw(now) {
    look(now);
    const jumps = calm.matches;
    const on = isOn(document.documentElement);
    if (layer.hidden === on) layer.hidden = !on;
    for (const top of stages.keys()) if (!bare(top).matches(TOP)) fold(top);
    const surfaces = new Map();
    let places = on ? MOST : 0;
    let first = NEW_AT_ONCE;
    let moving = false;
    for (const cursor of [...cursors.values()].reverse()) {
      const { surface: name, from, movedAt, step } = cursor;
      cursor.point = null;
      if (!places) continue;
      if (!surfaces.has(name)) surfaces.set(name, surfaceNamed(name));
      const progress = !from || jumps ? 1 : Math.min(Math.max(now - movedAt, 0) / step, 1);
      cursor.point = place(cursor, surfaces.get(name), progress);
      moving ||= progress < 1;
      if (!cursor.point) continue;
      places -= 1;
      if (cursor.element) continue;
      first -= 1;
      if (first >= 0) continue;
      cursor.point = null; // left for the next frame
      moving = true;
    }
    for (const cursor of drawn) if (!cursor.point) erase(cursor);
    for (const cursor of cursors.values()) if (cursor.point) paint(cursor, now);
    if (moving) schedule();
    // For labels that fade, and for changes of the page without an event.
    if (cursors.size && drawTimer === null) drawTimer = setTimeout(onDrawTimer, DRAW_AGAIN);
  }

  function onDrawTimer() {
    drawTimer = null;
    if (document.hidden || request !== null) schedule();
    else redraw();
  }

  /** The surface of that name, if cursors are drawn on it. */
  function surfaceNamed(name) {
    const tag = tagNamed(name);
    const element = tag && isOn(tag) && surfaceOf(tag);
    if (!element || !hasBox(element)) return null;
    return { element, box: boxOf(element), guest: tag.getAttribute("guest") || "Guest" };
  }

  /** The cursor's point on the screen; null if it is not visible. */
  function place(cursor, surface, progress) {
    const person = people.get(cursor.number);
    if (!surface || !person || person.id === you) return null;
    const [, x, y, w, h, anchor, ax, ay, aw, ah] = cursor.move;
    const named = anchor && anchorNamed(surface.element, anchor);
    const over = named && hasBox(named) ? named : surface.element;
    const point = over === named ? scaled(boxOf(over), ax, ay, aw, ah) : scaled(surface.box, x, y, w, h);
    if (progress < 1) {
      const start = outside(surface.box, cursor.from.x, cursor.from.y);
      point.x = start.x + (point.x - start.x) * progress;
      point.y = start.y + (point.y - start.y) * progress;
    }
    point.surface = surface;
    point.still = progress === 1;
    point.stage = stageOver(layoutOf(over).top);
    return contains(point.stage, point) && isShown(over, point) ? point : null;
  }

  function isShown(element, point) {
    for (const clip of layoutOf(element).clips) if (!contains(clip, point)) return false;
    return true;
  }

  function erase(cursor) {
    cursor.element.remove();
    cursor.at = cursor.stage = null;
    drawn.delete(cursor);
  }

  function paint(cursor, now) {
    const { point } = cursor;
    const { surface, still, stage } = point;
    const person = people.get(cursor.number);
    cursor.element ??= build(cursor);
    if (cursor.person !== person || cursor.guest !== surface.guest) dress(cursor, person, surface.guest);
    if (cursor.stage !== stage) {
      cursor.stage = stage;
      drawn.add(cursor);
      stage.append(cursor.element);
    }
    cursor.at = inside(surface.box, point);
    const screen = boxOf(stage);
    const { x, y } = inside(screen, point);
    // Text is sharp only on whole pixels.
    const grain = still ? 1 : 8;
    const transform = `translate(${Math.round(x * grain) / grain}px, ${Math.round(y * grain) / grain}px)`;
    if (cursor.transform !== transform) cursor.element.style.transform = cursor.transform = transform;
    const rest = now - cursor.movedAt;
    let state = "look";
    if (cursor.touch) state += " touch";
    if (rest >= STILL) state += " still";
    if (rest >= IDLE) state += " idle";
    if (x + cursor.reach > screen.width) state += " left";
    if (y > screen.height - HIGHEST) state += " up";
    if (cursor.state !== state) cursor.look.className = cursor.state = state;
  }

  function build(cursor) {
    const element = pattern.cloneNode(true);
    cursor.look = element.firstElementChild;
    cursor.label = element.querySelector(".label");
    return element;
  }

  function dress(cursor, person, guest) {
    const { name, color } = person;
    Object.assign(cursor, { person, guest });
    const shown = typeof name === "string" && name.trim() ? name : guest;
    if (cursor.name !== shown) {
      cursor.label.textContent = cursor.name = shown;
      cursor.reach = Math.min(CHARACTER * shown.length + PADDING, WIDEST);
    }
    if (cursor.color === color) return;
    cursor.color = color;
    const plain = plainColor(color);
    // currentcolor has no meaning for a cursor.
    cursor.look.style.setProperty("--presence-color", plain.includes("currentcolor") ? "" : plain);
  }

  // --- Elements and styles ---

  const sheet = new CSSStyleSheet();
  // No filters, no blending: dozens of these move at once.
  sheet.replaceSync(`
    :host { position: fixed; inset: 0; z-index: 2147483646; contain: strict; pointer-events: none }
    :host([hidden]) { display: none }
    @media print { :host { display: none } }
    .stage {
      all: initial; display: block; position: fixed; inset: 0; contain: strict; direction: ltr;
      pointer-events: none; forced-color-adjust: none;
    }
    .stage::backdrop { display: none }
    /* Properties that are set on each frame: as few as possible. */
    .cursor { position: absolute; inset: 0 auto auto 0; width: 0; height: 0; will-change: transform }
    .look { --color: var(--presence-color, #5b5bd6); animation: appear 0.15s; transition: opacity 0.4s }
    .look.idle { opacity: var(--presence-cursor-idle, 0.4) }
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
      content: ""; position: absolute; inset: 0; border-radius: 50%; background-color: var(--color);
      opacity: 0.75;
    }
    .pulse::after { animation: pulse 1.2s ease-out infinite }
    .touch .arrow { display: none }
    .touch .pulse { display: block }
    .label {
      position: absolute; inset: 16px auto auto 13px; box-sizing: border-box; width: max-content;
      max-width: 220px; padding: 1px 9px 2px; border: 1px solid #ffffffa6; border-radius: 4px 11px 11px 11px;
      box-shadow: 0 1px 4px #0000003d; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
      font: var(--presence-cursor-font, 600 12px/18px system-ui, sans-serif);
      background-color: var(--color); color: var(--presence-cursor-text, #fff); transition: opacity 0.4s;
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
      .look, .label { animation: none; transition: none }
      .pulse::after { animation: none; transform: scale(1.4); opacity: 0.35 }
    }
  `);

  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const layer = document.createElement("presence-cursors");
  layer.setAttribute("aria-hidden", "true");
  const root = layer.attachShadow({ mode: "open" });
  root.adoptedStyleSheets = [sheet];

  const SVG = "http://www.w3.org/2000/svg";
  const ARROW = "M0 0 5.9 17.2 8.9 10 16.2 7.1Z";

  /** Made without a parser, which would need a policy of trusted types. */
  function make(element, attributes, ...content) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...content);
    return element;
  }
  const html = (name, ...rest) => make(document.createElement(name), ...rest);
  const svg = (name, ...rest) => make(document.createElementNS(SVG, name), ...rest);
  const pattern = html(
    "div",
    { class: "cursor", part: "cursor" },
    html(
      "div",
      { class: "look" },
      svg(
        "svg",
        { class: "arrow", part: "arrow", viewBox: "0 0 20 20" },
        svg("path", { class: "shade", d: ARROW }),
        svg("path", { d: ARROW }),
      ),
      html("span", { class: "pulse", part: "pulse" }),
      html("span", { class: "label", part: "label", dir: "auto" }),
    ),
  );

  // Not of the layer itself: a page may have rules for popovers.
  const ground = root.appendChild(html("div", { class: "stage" }));
  const stages = new Map(); // element of the top layer → the stage for its cursors, in that layer as well

  /** The stage for cursors over `top`. Elements that enter the top layer later cover it. */
  function stageOver(top) {
    if (!top || !layer.isConnected || !ground.showPopover) return ground;
    if (!stages.has(top)) {
      stages.set(top, root.appendChild(html("div", { class: "stage", popover: "manual" })));
      stages.get(top).showPopover();
    }
    return stages.get(top);
  }

  function fold(top) {
    stages.get(top)?.remove();
    stages.delete(top);
  }

  // --- Start ---

  document[CURSORS] = (transport) => {
    send = transport.send;
    // Outside the body, which may be patched or swapped as a whole.
    document.documentElement.append(layer);

    const options = { capture: true, passive: true };
    window.addEventListener("pointermove", onPointer, options);
    window.addEventListener("pointerdown", onPointer, options);
    window.addEventListener("pointerover", onPointer, options); // all that an <iframe> lets through
    document.documentElement.addEventListener(
      "pointerleave",
      ({ pointerId }) => pointerId === pointer?.id && leave(),
    );
    document.addEventListener("visibilitychange", () => document.hidden && leave());
    const moved = () => {
      fresh = false;
      if (cursors.size) schedule();
    };
    const scrolled = () => {
      if (pointer) report();
      moved();
    };
    document.addEventListener("scroll", scrolled, options);
    const rendered = () => {
      forgetLayouts();
      announce();
      moved();
    };
    window.addEventListener("resize", rendered);
    // An element that enters the top layer again is above its former stage.
    const raised = ({ target }) => {
      fold(target);
      forgetLayouts();
      moved();
    };
    document.addEventListener("toggle", raised, options);
    document.addEventListener("fullscreenchange", raised, options);
    // Not every browser has a toggle event for dialogs.
    const opened = { subtree: true, attributeFilter: ["open"] };
    new MutationObserver((records) => records.forEach(raised)).observe(document.documentElement, opened);
    const switches = { subtree: true, attributes: true, attributeFilter: [SWITCH] };
    new MutationObserver(redraw).observe(document.documentElement, switches);

    return {
      show,
      rendered,
      online() {
        live = true;
        announced = heard = false;
        announce();
      },
      offline() {
        live = false;
        pointer = null; // a pointer that has not moved since counts as gone
        said = JSON.stringify(NOWHERE);
        clearTimeout(reportTimer);
        reportTimer = null;
        forgetAll();
      },
    };
  };
})();
