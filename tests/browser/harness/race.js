/**
 * Lets this package's patching and the morph of htmx 4 show the same lists in turns, each in a list of its own.
 * `race(act, {rows, ids, turns})` returns the times of both in milliseconds, without those of the parser, which
 * both call in the same way; and an error if the two do not show the same at the end.
 */
(() => {
  let parsing = 0;
  const { get, set } = Object.getOwnPropertyDescriptor(Element.prototype, "innerHTML");
  Object.defineProperty(Element.prototype, "innerHTML", {
    get,
    set(html) {
      const start = performance.now();
      set.call(this, html);
      parsing += performance.now() - start;
    },
  });

  let morph;
  document.addEventListener("DOMContentLoaded", () => {
    htmx.registerExtension("race", { init: (api) => ({ morph } = api) });
  });

  const ENGINES = {
    ours: (list, html) => document[Symbol.for("djust_presence.patch")].patch(list, html),
    htmx(list, html) {
      const template = document.createElement("template");
      template.innerHTML = html;
      morph(list, template.content, true);
    },
  };

  /** What changes from turn to turn: it gets the keys and the counts of rows, and returns those of the next turn. */
  const ACTS = {
    heading: (rows) => rows,
    changed: (rows, turn) => rows.with((turn * 37) % rows.length, [rows[(turn * 37) % rows.length][0], -turn]),
    inserted: (rows, turn) => rows.toSpliced(rows.length / 2, 0, [`new-${turn}`, turn]),
    removed: (rows) => rows.toSpliced(rows.length / 2, 1),
    moved: (rows) => [rows.at(-1), ...rows.slice(0, -1)],
    reversed: (rows) => rows.toReversed(),
    all: (rows, turn) => rows.map(([key, count]) => [key, count + turn]),
  };
  const UNDONE = { inserted: (_rows, last) => last, removed: (_rows, last) => last };

  function shown(rows, turn, ids) {
    const items = rows.map(
      ([key, count]) =>
        `<li${ids ? ` id="row-${key}"` : ""} class="row"><b>Row ${key}</b> has <i>${count}</i></li>\n`,
    );
    return `<h2>${turn}</h2><ul>\n${items.join("")}</ul>`;
  }

  window.race = (act, { rows: size, ids, turns }) => {
    const lists = Object.fromEntries(["ours", "htmx"].map((name) => [name, document.getElementById(name)]));
    const times = { ours: [], htmx: [] };
    let rows = Array.from({ length: size }, (_, index) => [index, index]);
    let html = "";
    const show = (isTimed) => {
      const order = times.ours.length % 2 ? ["ours", "htmx"] : ["htmx", "ours"];
      for (const name of order) {
        parsing = 0;
        const start = performance.now();
        ENGINES[name](lists[name], html);
        const took = performance.now() - start - parsing;
        if (isTimed) times[name].push(took);
        lists[name].getBoundingClientRect(); // the layout is not left to the next one
      }
    };
    for (let turn = 1; turn <= turns + 3; turn += 1) {
      html = shown(rows, turn, ids);
      show(false);
      const next = ACTS[act](rows, turn);
      html = shown(next, act === "heading" ? -turn : turn, ids);
      show(turn > 3);
      rows = UNDONE[act]?.(next, rows) ?? next;
    }
    for (const list of Object.values(lists)) if (list.innerHTML !== html) throw new Error(`${list.id} differs`);
    return times;
  };
})();
