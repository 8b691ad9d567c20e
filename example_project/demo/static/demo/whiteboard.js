// The whiteboard. A stroke is drawn here at once, told as an event, and kept as soon as the view says it back to all.
//
//   sketch, drop, draw,     event handlers of the view that are called from here (undo and clear have buttons)
//   compare
//   presence:sketch         a stroke of somebody's grows
//   presence:dropped        it will not be one
//   presence:stroke         a stroke is kept
//   presence:erased         strokes that are no longer on the board
//   strokes (push_event)    the answer to compare: what is on the board, and what of it is missing here
(() => {
  "use strict";

  const MOST_POINTS = 500; // as many as the view takes
  const NEAR = 3; // units: what is nearer to the last point would not be seen
  const SKETCH_EVERY = 100; // milliseconds
  const SKETCH_SHOWN = 10_000;
  const SHOW_CURSORS = "show-cursors";

  const drawing = /** @type {any} */ (document.getElementById("drawing"));
  const unkept = document.getElementById("unkept"); // a button for each stroke that is not kept yet: it sends it
  const { width: right, height: bottom } = drawing.viewBox.baseVal;

  // --- What is on the board ---------------------------------------------------------------------------

  const kept = new Map(); // id → its path
  const erased = new Set(); // ids: what was erased may yet arrive
  const mine = new Map(); // token → its path: drawn here, and not kept yet
  const own = new Set(); // tokens: all that was begun here, as what is told of it comes back to this page, too
  const sketches = new Map(); // token → {path, points, timer}: drawn elsewhere, and not whole yet

  function newPath(color, width) {
    const path = document.createElementNS(drawing.namespaceURI, "path");
    path.setAttribute("color", color);
    path.setAttribute("stroke-width", width);
    return drawing.appendChild(path);
  }

  /** Through the middles between the points, so that it is a smooth curve. A single point is a dot. */
  function trace(path, points) {
    let d = `M${points[0]} ${points[1]}`;
    for (let i = 4; i < points.length; i += 2) {
      const [x, y, nextX, nextY] = points.slice(i - 2, i + 2);
      d += `Q${x} ${y} ${(x + nextX) / 2} ${(y + nextY) / 2}`;
    }
    path.setAttribute("d", `${d}L${points.at(-2)} ${points.at(-1)}`);
  }

  /** Show a stroke as it is kept. Who began later lies above. */
  function keep({ id, token, color, width, points }) {
    const drawn = mine.get(token) ?? sketches.get(token)?.path;
    forget(token);
    if (kept.has(id) || erased.has(id)) {
      drawn?.remove();
      return;
    }
    const path = drawn ?? newPath(color, width);
    path.setAttribute("color", color);
    path.dataset.id = id;
    trace(path, points);
    kept.set(id, path);
    const above = [...drawing.children].find((other) => other !== path && !(other.dataset.id < id));
    drawing.insertBefore(path, above ?? null);
  }

  /** It is kept, or never will be. */
  function forget(token) {
    mine.delete(token);
    clearTimeout(sketches.get(token)?.timer);
    sketches.delete(token);
    document.getElementById(`stroke-${token}`)?.remove();
  }

  /** It never will be kept. */
  function lose(token) {
    mine.get(token)?.remove();
    sketches.get(token)?.path.remove();
    forget(token);
  }

  function erase(ids) {
    for (const id of ids) {
      erased.add(id);
      kept.get(id)?.remove();
      kept.delete(id);
    }
  }

  /** What somebody draws at this moment. Who has missed its beginning waits until it is whole. */
  function sketch({ token, color, width, at, points }) {
    if (own.has(token) || (at > 0 && !sketches.has(token))) return;
    if (!sketches.has(token)) sketches.set(token, { path: newPath(color, width), points: [] });
    const one = sketches.get(token);
    one.points.splice(2 * at, Infinity, ...points);
    trace(one.path, one.points);
    clearTimeout(one.timer);
    one.timer = setTimeout(lose, SKETCH_SHOWN, token);
  }

  for (const path of drawing.children) {
    trace(path, path.dataset.points.split(",").map(Number));
    kept.set(Number(path.dataset.id), path);
  }

  document.addEventListener("presence:sketch", ({ detail }) => sketch(detail));
  document.addEventListener("presence:dropped", ({ detail }) => lose(detail.token));
  document.addEventListener("presence:stroke", ({ detail }) => keep(detail));
  document.addEventListener("presence:erased", ({ detail }) => erase(detail.ids));

  // --- To the view and back ---------------------------------------------------------------------------

  /** Call an event handler, the way that a click on this button of the page would. */
  function callBy(button, handler, values) {
    button.type = "button";
    button.setAttribute("dj-click", handler);
    for (const [name, value] of Object.entries(values)) button.setAttribute(`dj-value-${name}`, value);
    unkept.append(button);
    button.click();
  }

  function call(handler, values) {
    const button = document.createElement("button");
    callBy(button, handler, values);
    button.remove();
  }

  let asked = []; // the ids that were here when it was compared
  let owed = []; // and the buttons of what the view may not have heard

  // Before the page was live, and since it was last, it has heard nothing.
  document.addEventListener("presence-client:online", () => {
    asked = [...kept.keys()];
    owed = [...unkept.children];
    call("compare", { have: asked.join(",") });
  });

  window.addEventListener("djust:push_event", ({ detail: { event, payload } }) => {
    if (event !== "strokes") return;
    const there = new Set(payload.ids);
    erase(asked.filter((id) => !there.has(id)));
    payload.strokes.forEach(keep);
    for (const button of owed) if (button.isConnected) button.click();
  });

  unkept.addEventListener("presence-client:refused", (/** @type {any} */ { target, detail: { code } }) => {
    if (code === "lost") return; // it is sent again when the page is back
    lose(target.getAttribute("dj-value-token"));
  });

  // --- The pen ----------------------------------------------------------------------------------------

  let stroke = null; // what is drawn at this moment

  function newToken() {
    const numbers = crypto.getRandomValues(new Uint32Array(4)); // randomUUID() is for https only
    return Array.from(numbers, (number) => number.toString(16).padStart(8, "0")).join("");
  }

  function pointOf({ clientX, clientY }) {
    const box = drawing.getBoundingClientRect();
    const part = (at, start, size) => Math.min(Math.max((at - start) / size, 0), 1);
    return [
      Math.round(right * part(clientX, box.left, box.width)),
      Math.round(bottom * part(clientY, box.top, box.height)),
    ];
  }

  function begin(pointer, point) {
    const token = newToken();
    const color = document.getElementById("tools").dataset.presenceColor;
    const width = /** @type {HTMLInputElement} */ (document.querySelector("#tools [name=width]:checked")).value;
    const path = newPath(color, width);
    mine.set(token, path);
    own.add(token);
    stroke = { pointer, token, width, path, points: point, told: 0, timer: setInterval(tell, SKETCH_EVERY) };
    trace(path, point);
  }

  function go(event) {
    const [x, y] = pointOf(event);
    const { pointer, points } = stroke;
    if (Math.hypot(x - points.at(-2), y - points.at(-1)) < NEAR) return;
    points.push(x, y);
    if (points.length < 2 * MOST_POINTS) return;
    end();
    begin(pointer, [x, y]);
  }

  /** Let the others see it grow. */
  function tell() {
    const { token, width, points, told } = stroke;
    if (points.length === 2 * told) return;
    call("sketch", { token, width, at: told, points: points.slice(2 * told) });
    stroke.told = points.length / 2;
  }

  function end() {
    const { token, width, path, points, timer } = stroke;
    clearInterval(timer);
    stroke = null;
    trace(path, points);
    const button = document.createElement("button");
    button.id = `stroke-${token}`;
    callBy(button, "draw", { token, width, points });
  }

  const isPen = ({ pointerId }) => stroke?.pointer === pointerId;

  function drop() {
    const { token, told, timer } = stroke;
    clearInterval(timer);
    lose(token);
    if (told) call("drop", { token });
    stroke = null;
  }

  drawing.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary && stroke) drop(); // a second finger: this is no line, but a zoom
    if (!event.isPrimary || event.button !== 0) return;
    if (stroke) end();
    drawing.setPointerCapture(event.pointerId);
    begin(event.pointerId, pointOf(event));
  });

  drawing.addEventListener("pointermove", (event) => {
    if (!isPen(event)) return;
    for (const step of event.getCoalescedEvents?.() ?? [event]) go(step); // where there is https, or localhost
    trace(stroke.path, stroke.points);
  });

  drawing.addEventListener("pointerup", (event) => isPen(event) && end());

  // The browser has taken it for something else, such as zooming with a second finger.
  drawing.addEventListener("pointercancel", (event) => isPen(event) && drop());

  document.addEventListener("keydown", (event) => {
    if (event.key !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey) return;
    event.preventDefault();
    document.getElementById("undo").click();
  });

  // --- The cursors of the others ----------------------------------------------------------------------

  function showCursors(shown) {
    if (shown) delete document.documentElement.dataset.presenceCursors;
    else document.documentElement.dataset.presenceCursors = "off";
  }

  const remembered = localStorage.getItem(SHOW_CURSORS) !== "off";
  /** @type {HTMLInputElement} */ (document.getElementById(SHOW_CURSORS)).checked = remembered;
  showCursors(remembered);

  document.addEventListener("change", (/** @type {any} */ { target }) => {
    if (target.id !== SHOW_CURSORS) return;
    showCursors(target.checked);
    localStorage.setItem(SHOW_CURSORS, target.checked ? "on" : "off");
  });
})();
