/**
 * Patching by difference: shows a server's new HTML by applying what the server has changed since its last HTML.
 *
 * The last HTML is kept as a tree, the replica, whose nodes are tied to the nodes of the page. New HTML is compared
 * with the replica and not with the page. So what scripts, widgets and people did to the page stays, unless the
 * server's own HTML for it changes; a node that is tied to no replica is a script's.
 *
 * The first replica is a copy of the page as it is where this script stands. A script that changes the page before
 * that counts as the server; one that is deferred, or waits for DOMContentLoaded, does not.
 *
 * `document[Symbol.for("djust_presence.patch")]` is
 *   patch(target, html, {leave, set})   show `html` as the content of the element `target`, or as the page if that is
 *                                       <html>. `leave` is an element that is not touched now; `set(element, name,
 *                                       value)` may take an attribute's new value (null: none) and return true.
 *                                       Returns {skipped, late}: whether `leave` was in the way, and whether an
 *                                       element that is being edited was; patching the same HTML again makes up for it.
 *   copyPage()                          copy the page again, after a navigation that has swapped its body
 *   served(element)                     its replica, or undefined if the server has not rendered it
 *   scriptURL(url)                      the URL as `script.src` takes it under Trusted Types
 * After it is made, the document hears `djust_presence.patch`.
 */
(() => {
  "use strict";

  const PATCH = Symbol.for("djust_presence.patch");
  if (document[PATCH]) return;

  const PRESERVED = "[hx-preserve], [data-hx-preserve]"; // htmx takes these along to the next page
  const SHADOW = "template[shadowrootmode]";
  const MOST_CELLS = 4_000_000; // of a table for the alignment of two lists
  // How alike two nodes are, of which none has an id of its own, by what they have in common.
  const EQUAL = 32; // more than all of these
  const LIKENESS = Object.entries({ field: 6, tag: 4, content: 4, classes: 3, kind: 1 });
  const START = /^<(?:[^">]|"[^"]*")*>/; // a start tag, as serialised

  // --- The DOM, through its prototypes: a form's fields and a document's images hide what they are named after ---

  const getter = (prototype, name) => {
    const { get } = Object.getOwnPropertyDescriptor(prototype, name);
    return (node) => get.call(node);
  };
  const method = (prototype, name) => {
    const { [name]: called } = prototype;
    return called && ((node, one, two, three) => called.call(node, one, two, three));
  };

  const typeOf = getter(Node.prototype, "nodeType");
  const childNodes = getter(Node.prototype, "childNodes");
  const parentOf = getter(Node.prototype, "parentNode");
  const firstOf = getter(Node.prototype, "firstChild");
  const nextOf = getter(Node.prototype, "nextSibling");
  const previousOf = getter(Node.prototype, "previousSibling");
  const lastOf = getter(Node.prototype, "lastChild");
  const documentOf = getter(Node.prototype, "ownerDocument");
  const isConnected = getter(Node.prototype, "isConnected");
  const insertBefore = method(Node.prototype, "insertBefore");
  const removeChild = method(Node.prototype, "removeChild");
  const isEqualNode = method(Node.prototype, "isEqualNode");
  const contains = method(Node.prototype, "contains");
  const nameOf = getter(Element.prototype, "localName");
  const namespaceOf = getter(Element.prototype, "namespaceURI");
  const attributesOf = getter(Element.prototype, "attributes");
  const classesOf = getter(Element.prototype, "classList");
  const shadowOf = getter(Element.prototype, "shadowRoot");
  const outerOf = getter(Element.prototype, "outerHTML");
  const isEditable = getter(HTMLElement.prototype, "isContentEditable");
  const styleOfHtml = getter(HTMLElement.prototype, "style");
  const attribute = method(Element.prototype, "getAttribute");
  const attributeNames = method(Element.prototype, "getAttributeNames");
  const removeAttribute = method(Element.prototype, "removeAttribute");
  const removeAttributeNS = method(Element.prototype, "removeAttributeNS");
  const setAttributeNS = method(Element.prototype, "setAttributeNS");
  const matches = method(Element.prototype, "matches");
  const attachShadow = method(Element.prototype, "attachShadow");
  const moveBefore = method(Element.prototype, "moveBefore");
  const find = method(Element.prototype, "querySelector");
  const findAll = method(Element.prototype, "querySelectorAll");
  const findAllIn = method(DocumentFragment.prototype, "querySelectorAll");

  const all = (root, selector) => (isElement(root) ? findAll : findAllIn)(root, selector);
  const styleOf = (element) => (element instanceof HTMLElement ? styleOfHtml(element) : element.style);
  const isElement = (node) => typeOf(node) === Node.ELEMENT_NODE;
  const isTree = (node) => isElement(node) || typeOf(node) === Node.DOCUMENT_FRAGMENT_NODE;
  const isBlank = (node) => typeOf(node) === Node.TEXT_NODE && !/\S/.test(node.data);
  const isIgnored = (node) => isElement(node) && attribute(node, "dj-update") === "ignore";

  /** The nodes from the first to the one before `end`, or to the last. */
  function siblings(first, end = null) {
    const found = [];
    for (let node = first; node !== end; node = nextOf(node)) found.push(node);
    return found;
  }
  const children = (node) => siblings(firstOf(node));

  /** A document as it is, whatever its elements are named. */
  const bare = (document) =>
    new Proxy(document, {
      get(target, name) {
        // What a script has defined there stands.
        if (Object.getOwnPropertyDescriptor(target, name)?.configurable === false) return target[name];
        const value = Reflect.get(Object.getPrototypeOf(target), name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  const page = bare(document);

  function remove(node) {
    const parent = parentOf(node);
    if (parent) removeChild(parent, node);
  }

  // --- Trusted Types: what the server has rendered, and nothing else ------------------------------------

  let types = window.trustedTypes;
  const trust = { createHTML: (text) => text, createScript: (text) => text, createScriptURL: (text) => text };
  const policy = (() => {
    try {
      return types.createPolicy("djust_presence", trust);
    } catch {
      types = null; // there are none, or the page does not allow this policy
      return trust;
    }
  })();

  /** Give `element` a copy of `attr`. A copied node keeps namespaces, and names that only parsers take. */
  function copyAttribute(element, attr) {
    const { namespaceURI, localName, name, value } = attr;
    const type = types?.getAttributeType(nameOf(element), localName, namespaceOf(element), namespaceURI);
    if (type) setAttributeNS(element, namespaceURI, name, policy[type.replace("Trusted", "create")](value));
    else attributesOf(element).setNamedItemNS(attr.cloneNode());
  }

  // --- Replicas ---------------------------------------------------------------------------------------

  const liveOf = new WeakMap(); // node of a replica → node of the page
  const copyOf = new WeakMap(); // and back
  const rootsOf = new WeakMap(); // element of a replica → the template in it that is the shadow root in the page
  const inert = page.implementation.createHTMLDocument(""); // where replicas live: nothing loads or runs
  let root; // the replica of the page

  function tie(copy, live) {
    liveOf.set(copy, live);
    copyOf.set(live, copy);
  }

  /** Tie a tree to its copy. */
  function tieAll(copy, live) {
    tie(copy, live);
    if (copy instanceof HTMLTemplateElement) tieAll(copy.content, live.content);
    for (let [one, other] = [copy, live].map(firstOf); one && other; [one, other] = [one, other].map(nextOf)) {
      tieAll(one, other);
    }
  }

  function untie(copy) {
    const live = liveOf.get(copy);
    if (copyOf.get(live) === copy) copyOf.delete(live);
    liveOf.delete(copy);
    for (const child of childNodes(copy)) untie(child);
  }

  /** Make an older replica the one of its nodes again. */
  function retie(copy) {
    const live = liveOf.get(copy);
    if (live) copyOf.set(live, copy);
    for (const child of childNodes(copy)) retie(child);
  }

  /** A replica of what is in the page. */
  function replicate(live) {
    const copy = tidy(inert.importNode(live, true));
    tieAll(copy, live);
    if (isElement(live)) {
      for (const host of [live, ...all(live, "*")]) {
        if (shadowOf(host)) replicateShadow(copyOf.get(host), shadowOf(host));
      }
    }
    return copy;
  }

  /** A shadow root that came with the page was a template in the HTML. */
  function replicateShadow(copy, shadow) {
    const template = inert.createElement("template");
    template.setAttribute("shadowrootmode", shadow.mode);
    template.content.append(...children(shadow).map(replicate));
    insertBefore(copy, template, firstOf(copy));
    tie(template.content, shadow);
    liveOf.set(template, shadow);
    rootsOf.set(copy, template);
  }

  function copyPage() {
    const preserved = [...all(page.documentElement, PRESERVED)].map((live) => copyOf.get(live)).filter(Boolean);
    root = replicate(page.documentElement);
    for (const last of preserved) {
      parentOf(copyOf.get(liveOf.get(last))).replaceChild(last, copyOf.get(liveOf.get(last)));
      retie(last);
    }
  }

  /** A new replica of an element of the page, in the place of its last one. */
  function renew(live) {
    const id = attribute(live, "id");
    const last = copyOf.get(live) ?? (id && find(root, `${nameOf(live)}[id="${CSS.escape(id)}"]`));
    const parent = last && parentOf(last);
    if (last) untie(last);
    const copy = replicate(live);
    if (parent) parent.replaceChild(copy, last);
    else if (live === page.documentElement) root = copy;
    return copy;
  }

  /** Take away what says nothing or is refused: nonces, and style attributes where a strict policy is. */
  function tidy(tree) {
    if (!isTree(tree)) return tree;
    const elements = [...all(tree, "[style], [nonce], template")];
    if (isElement(tree)) elements.push(tree);
    for (const element of elements) {
      removeAttribute(element, "nonce");
      if (element instanceof HTMLTemplateElement) tidy(element.content);
      const style = styleOf(element);
      // Copied, a refused attribute would take effect after all. The others are compared as the browser writes them.
      if (style?.length) style.cssText = style.cssText;
      else removeAttribute(element, "style");
    }
    return tree;
  }

  // --- What is the same -------------------------------------------------------------------------------

  /** isEqualNode() does not look into templates. */
  function isSame(one, other) {
    if (!isEqualNode(one, other)) return false;
    if (!hasTemplates) return true;
    if (one instanceof HTMLTemplateElement) return isSame(one.content, other.content);
    const templates = isTree(one) ? all(one, "template") : [];
    if (!templates.length) return true;
    const others = all(other, "template");
    return Array.from(templates).every(({ content }, index) => isSame(content, others[index].content));
  }

  function haveSameContent(one, other) {
    const [ones, others] = [children(one), children(other)];
    return ones.length === others.length && ones.every((node, index) => isSame(node, others[index]));
  }

  // --- Which node is which: ids first, then what is in them, then likeness ------------------------------

  /** Whether two nodes can be the same one. */
  function areAlike(last, next) {
    if (typeOf(last) !== typeOf(next)) return false;
    return !isElement(last) || (areOfOneKind(last, next) && isIgnored(last) === isIgnored(next));
  }

  const areOfOneKind = (one, other) =>
    nameOf(one) === nameOf(other) &&
    namespaceOf(one) === namespaceOf(other) &&
    attribute(one, "is") === attribute(other, "is");

  /** Elements by id; null where several have it, which is as good as none. */
  function byId(tree) {
    const found = new Map();
    for (const element of all(tree, "[id]")) {
      const id = attribute(element, "id");
      if (id) found.set(id, found.has(id) ? null : element);
    }
    return found;
  }

  /** What is known by its id in a replica and in the new HTML, in whatever place. */
  function identify(copy, next) {
    const [before, after] = [byId(copy), byId(next)];
    const ids = {
      partners: new Map(), // element of the new HTML → of the replica
      wanted: new Set(), // these elements of the replica
      holders: new Set(), // what of the replica is around them
      first: new Map(), // what of the new HTML is around one → the first that is in it
      hasOwnId: (node) => {
        const id = isElement(node) && attribute(node, "id");
        const unique = id && before.get(id) !== null && after.get(id) !== null;
        return Boolean(unique && (before.get(id) === node || after.get(id) === node));
      },
    };
    for (const [id, element] of after) {
      const last = element && before.get(id);
      if (!last || !areOfOneKind(last, element)) continue;
      ids.partners.set(element, last);
      ids.wanted.add(last);
      for (let at = parentOf(element); at && !ids.first.has(at); at = parentOf(at)) ids.first.set(at, element);
      for (let at = parentOf(last); at && !ids.holders.has(at); at = parentOf(at)) ids.holders.add(at);
    }
    return ids;
  }

  /** The comparison of two trees. Where elements are in place, nobody asks for their ids. */
  function compare(copy, next) {
    let ids;
    return {
      get ids() {
        return (ids ??= identify(copy, next));
      },
      emptied: [], // what has gone, with its parent, once nothing in it is wanted
    };
  }

  /** Whether each node is the one in the same place, as far as this can be told at a glance. */
  function areInPlace(before, after, scope) {
    if (before.length !== after.length) return false;
    let unknown = 0;
    return after.every((next, index) => {
      const last = before[index];
      if (!areAlike(last, next) || isBlank(last) !== isBlank(next)) return false;
      if (isBlank(next)) return true;
      const id = isElement(next) && (attribute(next, "id") || null);
      if (id && id !== attribute(last, "id")) return false;
      if (id && after.length > 1) return scope.ids.partners.get(next) === last;
      unknown += 1;
      return unknown === 1 && (id || !isElement(last) || !attribute(last, "id"));
    });
  }

  /** Node of the new HTML → the one of the replica that it is. */
  function match(copy, before, after, ids) {
    const pairs = new Map();
    const free = new Set(before);
    const pair = (last, next) => {
      pairs.set(next, last);
      free.delete(last);
    };
    const rest = [];
    for (const next of after) {
      const known = ids.partners.get(next);
      if (known) pair(known, next);
      else if (!isBlank(next) && !ids.hasOwnId(next)) {
        let around = ids.partners.get(ids.first.get(next));
        while (around && parentOf(around) !== copy) around = parentOf(around);
        if (free.has(around) && !ids.hasOwnId(around) && areAlike(around, next)) pair(around, next);
        else rest.push(next);
      }
    }
    if (rest.length)
      align(
        [...free].filter((node) => !isBlank(node) && !ids.hasOwnId(node)),
        rest,
        pair,
      );
    // Blank text goes with what it follows.
    const places = new Map(before.map((node, index) => [node, index]));
    after.forEach((next, index) => {
      if (pairs.has(next) || !isBlank(next)) return;
      const blank = before[index ? (places.get(pairs.get(after[index - 1])) ?? -2) + 1 : 0];
      if (free.has(blank) && isBlank(blank)) pair(blank, next);
    });
    return pairs;
  }

  /** Pair what is equal and alone on both sides, in any order; then the rest in order, as alike as can be. */
  function align(before, after, pair) {
    [before, after] = pairEnds(before, after, pair);
    if (!before.length || !after.length) return;
    if (before.length === 1 && after.length === 1) {
      if (areAlike(before[0], after[0])) pair(before[0], after[0]);
      return;
    }
    const numbers = new Map(); // texts are compared as numbers
    const number = (text) => {
      const known = numbers.get(text);
      if (known) return known;
      numbers.set(text, numbers.size + 1);
      return numbers.size;
    };
    const [olds, news] = [before, after].map((nodes) => nodes.map((node) => describe(node, number)));
    const unique = [olds, news].map((sketches) => {
      const found = new Map();
      for (const sketch of sketches) found.set(sketch.whole, found.has(sketch.whole) ? null : sketch);
      return found;
    });
    for (const [whole, old] of unique[0]) {
      const next = old && unique[1].get(whole);
      if (!next) continue;
      pair(old.node, next.node);
      old.paired = next.paired = true;
    }
    alignInOrder(...[olds, news].map((sketches) => sketches.filter(({ paired }) => !paired)), pair);
  }

  /** Pair what is equal at the ends, and one that went from one end to the other. Returns what is left. */
  function pairEnds(before, after, pair) {
    let [start, end, nextStart, nextEnd] = [0, before.length, 0, after.length];
    const isIt = (last, next) => {
      const isPair = start < end && nextStart < nextEnd && isSame(before[last], after[next]);
      if (isPair) pair(before[last], after[next]);
      return isPair;
    };
    const isAlone = (last) =>
      [before, after].every((nodes) => nodes.filter((node) => isSame(node, before[last])).length === 1);
    const trim = () => {
      while (isIt(start, nextStart)) [start, nextStart] = [start + 1, nextStart + 1];
      while (isIt(end - 1, nextEnd - 1)) [end, nextEnd] = [end - 1, nextEnd - 1];
    };
    trim();
    if (end - start > 1 && nextEnd - nextStart > 1) {
      if (isSame(before[end - 1], after[nextStart]) && isAlone(end - 1)) {
        pair(before[--end], after[nextStart++]);
        trim();
      } else if (isSame(before[start], after[nextEnd - 1]) && isAlone(start)) {
        pair(before[start++], after[--nextEnd]);
        trim();
      }
    }
    return [before.slice(start, end), after.slice(nextStart, nextEnd)];
  }

  function describe(node, number) {
    if (!isElement(node)) {
      const kind = number(`type ${typeOf(node)}`);
      return { node, kind, whole: number(`${kind} ${node.data}`) };
    }
    const name = nameOf(node);
    const outer = outerOf(node);
    const [tag] = START.exec(outer) ?? [outer];
    const content = outer.slice(tag.length);
    const classes = attribute(node, "class");
    return {
      node,
      kind: number(`${namespaceOf(node)} ${name} ${attribute(node, "is")} ${isIgnored(node)}`),
      whole: number(outer),
      tag: number(tag),
      content: content.length > name.length + "</>".length && number(content),
      classes: classes && number(`class ${classes}`),
      field: fieldOf(node, number),
    };
  }

  function fieldOf(element, number) {
    if (element instanceof HTMLOptionElement) return number(`option ${element.value}`);
    const field = attribute(element, "name") === null ? find(element, "[name]") : element;
    if (!field) return 0;
    const isChoice = ["radio", "checkbox"].includes(attribute(field, "type"));
    return number(`field ${attribute(field, "name")} ${isChoice ? attribute(field, "value") : ""}`);
  }

  function likeness(old, next) {
    if (old.kind !== next.kind) return 0;
    if (old.whole === next.whole) return EQUAL;
    return LIKENESS.reduce((sum, [key, worth]) => (old[key] && old[key] === next[key] ? sum + worth : sum), 0);
  }

  /** Whether no other alignment is better than that of the first with the first, and so on. */
  function isBestInPlace(olds, news) {
    const [some, others] = olds.length < news.length ? [olds, news] : [news, olds];
    const [wholes, ...found] = ["whole", ...LIKENESS.map(([key]) => key)].map(
      (key) => new Set(others.map((other) => other[key])),
    );
    return some.every((one, index) => {
      if (wholes.has(one.whole)) return likeness(one, others[index]) === EQUAL;
      const most = LIKENESS.reduce(
        (sum, [key, worth], at) => (one[key] && found[at].has(one[key]) ? sum + worth : sum),
        0,
      );
      return likeness(one, others[index]) === most;
    });
  }

  /** The alignment of the greatest likeness in all, as sequences are aligned. */
  function alignInOrder(olds, news, pair) {
    const width = news.length + 1;
    if (olds.length * news.length > MOST_CELLS || isBestInPlace(olds, news)) {
      news.forEach((next, index) => olds[index]?.kind === next.kind && pair(olds[index].node, next.node));
      return;
    }
    const best = new Int32Array((olds.length + 1) * width); // of what is left from there
    for (let i = olds.length - 1; i >= 0; i -= 1) {
      for (let j = news.length - 1; j >= 0; j -= 1) {
        const at = i * width + j;
        const alike = likeness(olds[i], news[j]);
        best[at] = Math.max(best[at + width], best[at + 1], alike && alike + best[at + width + 1]);
      }
    }
    for (let i = 0, j = 0; i < olds.length && j < news.length; ) {
      const at = i * width + j;
      const alike = likeness(olds[i], news[j]);
      if (alike && best[at] === alike + best[at + width + 1]) pair(olds[i++].node, news[j++].node);
      else if (best[at] === best[at + width]) i += 1;
      else j += 1;
    }
  }

  /** Those of the nodes that need not move: a longest sequence that is in order already. */
  function steady(nodes, places) {
    const ends = []; // by length of the sequence, its last node
    const previous = new Map();
    for (const node of nodes) {
      if (!places.has(node)) continue;
      const isLast = !ends.length || places.get(ends.at(-1)) < places.get(node);
      let [low, high] = [isLast ? ends.length : 0, ends.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (places.get(ends[middle]) < places.get(node)) low = middle + 1;
        else high = middle;
      }
      previous.set(node, ends[low - 1]);
      ends[low] = node;
    }
    const found = new Set();
    for (let node = ends.at(-1); node; node = previous.get(node)) found.add(node);
    return found;
  }

  // --- Applying the difference ------------------------------------------------------------------------

  let options;
  let result;
  let hasTemplates; // whether what is compared has any

  /** What of `parent` is or holds this node: a script may have wrapped it. Null if it is not in there. */
  function within(node, parent) {
    const up = parentOf(node);
    if (up === parent) return node;
    return up && !copyOf.has(up) ? within(up, parent) : null;
  }

  /** Put a node before where `next` is, or at the end. */
  function place(node, parent, next) {
    const before = next && within(next, parent);
    if (node === before || (parentOf(node) === parent && nextOf(node) === before)) return;
    const moves = moveBefore && isElement(parent) && isConnected(parent) && isConnected(node);
    // A parser's document is connected, too.
    if (moves && documentOf(node) === documentOf(parent)) moveBefore(parent, node, before);
    else insertBefore(parent, node, before);
  }

  function patchTree(copy, next, live) {
    hasTemplates ||= [copy, next].some((tree) => all(tree, "template").length > 0);
    const scope = compare(copy, next);
    patchChildren(copy, next, live, scope);
    for (const [last, parent] of scope.emptied) drop(last, parent);
  }

  function patchChildren(copy, next, live, scope) {
    const template = rootsOf.get(copy);
    if (!template) patchNodes(copy, next, live, scope);
    else patchHost(copy, next, live, scope, template);
  }

  function patchNodes(copy, next, live, scope) {
    // What is equal at both ends is left as it is.
    let [first, end, nextFirst, nextEnd] = [firstOf(copy), null, firstOf(next), null];
    while (first && nextFirst && isSame(first, nextFirst)) {
      first = nextOf(first);
      nextFirst = nextOf(nextFirst);
    }
    if (!first && !nextFirst) return;
    let [last, nextLast] = [lastOf(copy), lastOf(next)];
    while (first !== end && nextFirst !== nextEnd && isSame(last, nextLast)) {
      [end, nextEnd] = [last, nextLast];
      last = previousOf(last);
      nextLast = previousOf(nextLast);
    }
    const isReplaced = dropReplacement(copy, live);
    if (isReplaced) [first, end, nextFirst, nextEnd] = [firstOf(copy), null, firstOf(next), null];
    const [before, after] = [siblings(first, end), siblings(nextFirst, nextEnd)];
    const spot = { copy: end, parent: live, next: firstWithin(end, live), isReplaced, scope };
    // From the end, as nodes are put before their next sibling: what a script put behind a node stays with it.
    if (areInPlace(before, after, scope)) {
      for (let index = after.length - 1; index >= 0; index -= 1) {
        moveOn(spot, show(before[index], after[index], spot, live, false));
      }
      return;
    }
    const { ids } = scope;
    const pairs = match(copy, before, after, ids);
    const taken = new Set(pairs.values());
    for (const node of before) {
      if (taken.has(node) || ids.wanted.has(node)) continue;
      if (ids.holders.has(node)) scope.emptied.push([node, live]);
      else drop(node, live);
    }
    const places = new Map(before.map((node, index) => [node, index]));
    const still = steady(
      after.map((node) => pairs.get(node)),
      places,
    );
    for (const node of after.reverse()) {
      const known = pairs.get(node);
      if (!known) {
        moveOn(spot, add(node, copy, spot));
        continue;
      }
      const from = places.has(known) ? live : liveOf.get(parentOf(known));
      const isMoved = !still.has(known);
      if (isMoved) insertBefore(copy, known, spot.copy);
      moveOn(spot, show(known, node, spot, from, isMoved));
    }
  }

  /** The next node goes before this one. */
  function moveOn(spot, copy) {
    spot.copy = copy;
    const live = liveOf.get(copy);
    if (live && within(live, spot.parent)) spot.next = live;
  }

  /** The first in the page of these nodes of a replica that is in `parent`. */
  function firstWithin(copy, parent) {
    for (let node = copy; node; node = nextOf(node)) {
      const live = liveOf.get(node);
      if (live && within(live, parent)) return live;
    }
    return null;
  }

  /** Show what is in the replica already, in its place and as it is in the new HTML; its replica then. */
  function show(copy, next, { parent, next: nextLive, isReplaced, scope }, from, isMoved) {
    const live = liveOf.get(copy);
    const here = live && from && within(live, from);
    if (here || (live && isConnected(live))) {
      // Elsewhere it was put by a script: there it stays.
      if (here && isMoved) place(from === parent ? here : live, parent, nextLive);
      update(copy, next, live, scope);
      return copy;
    }
    // A script has taken it away, and so it stays away until the server changes it.
    if (!isReplaced && isSame(copy, next)) return copy;
    const other = swapped(next, parent);
    if (other) {
      untie(copy);
      const fresh = replicate(other);
      parentOf(copy).replaceChild(fresh, copy);
      update(fresh, next, other, scope);
      return fresh;
    }
    if (live instanceof Text) dropTranslation(parent, nextLive);
    update(copy, next, live, scope);
    place(live, parent, nextLive);
    return copy;
  }

  /** Add what the replica does not have. Returns its replica. */
  function add(next, copy, { copy: nextCopy, parent, next: nextLive, scope }) {
    const other = swapped(next, parent);
    if (other) {
      const fresh = insertBefore(copy, replicate(other), nextCopy);
      update(fresh, next, other, scope);
      return fresh;
    }
    const isShallow = scope.ids.first.has(next); // something in it is in the page already
    const fresh = insertBefore(copy, inert.importNode(next, !isShallow), nextCopy);
    // The parsed node itself: a copy of it would take up style attributes that a policy has refused.
    // In this document already, or else no custom element in its shadow roots would ever be defined.
    const live = isShallow ? page.importNode(next, false) : page.adoptNode(next);
    tieAll(fresh, live);
    if (isElement(fresh) && hasTemplates) {
      for (const template of all(fresh, SHADOW)) attach(template, liveOf.get(parentOf(template)));
    }
    place(live, parent, nextLive);
    if (isShallow) patchChildren(fresh, next, live, scope);
    else if (isElement(fresh) && matches(fresh, SHADOW)) attach(fresh, parent);
    return fresh;
  }

  /** What a script has put there in the place of an element of ours, under the same id. */
  function swapped(next, parent) {
    const id = isElement(next) && attribute(next, "id");
    if (!id) return null;
    const isIt = (node) =>
      isElement(node) && !copyOf.has(node) && attribute(node, "id") === id && areOfOneKind(node, next);
    return children(parent).find(isIt) ?? null;
  }

  function drop(copy, parent) {
    const live = liveOf.get(copy);
    remove(copy);
    untie(copy);
    if (!live) return;
    let unit = within(live, parent);
    if (!unit) {
      remove(live);
      return;
    }
    // What a script has put around it, or right behind it, is taken for a part of it.
    if (unit !== live && !isAlone(unit)) unit = live;
    if (isElement(live) && parent !== page.body) {
      for (let behind; (behind = nextOf(unit)) instanceof Element && !copyOf.has(behind) && isAlone(behind); ) {
        remove(behind);
      }
    }
    remove(unit);
  }

  /** Whether nothing of the server's is in there. */
  function isAlone(live) {
    return children(live).every((node) => !copyOf.has(node) && isAlone(node));
  }

  /** Take away what a script has put in the place of all content. Returns whether it had. */
  function dropReplacement(copy, live) {
    let hadContent = false;
    for (let node = firstOf(copy); node; node = nextOf(node)) {
      if (isBlank(node)) continue;
      const shown = liveOf.get(node);
      if (shown && (within(shown, live) || isConnected(shown))) return false;
      if (swapped(node, live)) return false;
      hadContent = true;
    }
    if (!hadContent) return false;
    const foreign = children(live).filter((node) => !copyOf.has(node));
    if (foreign.every(isBlank)) return false;
    foreign.forEach(remove);
    return true;
  }

  /** Translators take a text away and put theirs before its place. */
  function dropTranslation(parent, nextLive) {
    const next = nextLive && within(nextLive, parent);
    for (;;) {
      const node = next ? previousOf(next) : lastOf(parent);
      if (!node || copyOf.has(node)) return;
      if (!(node instanceof Text || node instanceof HTMLFontElement)) return;
      remove(node);
    }
  }

  function update(copy, next, live, scope) {
    if (isSame(copy, next)) return;
    if (!isElement(copy)) {
      copy.data = next.data;
      if (live.data !== next.data) live.data = next.data;
      return;
    }
    const isFreed = () => isIgnored(copy) && !isIgnored(next);
    if (isIgnored(live) && !isFreed()) return;
    if (live === options.leave) {
      result.skipped = true;
      return;
    }
    patchAttributes(copy, next, live);
    if (live instanceof HTMLTextAreaElement) {
      if (copy.defaultValue === next.defaultValue) return;
      live.defaultValue = copy.defaultValue = next.defaultValue;
    } else if (live instanceof HTMLTemplateElement) patchTree(copy.content, next.content, live.content);
    else if (live instanceof HTMLElement && isEditable(live)) patchEditable(copy, next, live, scope);
    else patchChildren(copy, next, live, scope);
  }

  /** What a person has written stays until the server says something else, and then goes as a whole. */
  function patchEditable(copy, next, live, scope) {
    if (haveSameContent(copy, next)) return;
    const now = tidy(inert.importNode(live, true));
    const isUntouched = haveSameContent(now, copy);
    if (contains(live, page.activeElement)) {
      if (isUntouched) result.late = true;
      else replaceContent(copy, children(inert.importNode(next, true)));
      return;
    }
    if (isUntouched) {
      const nodes = childNodes(live);
      children(copy).forEach((node, index) => tieAll(node, nodes[index]));
    } else {
      children(live).forEach(remove);
      replaceContent(copy, []);
    }
    patchChildren(copy, next, live, scope);
  }

  function replaceContent(copy, nodes) {
    for (const node of children(copy)) {
      untie(node);
      remove(node);
    }
    for (const node of nodes) insertBefore(copy, node, null);
  }

  /** Patch an element with a shadow root, which is a template of the replica and of the new HTML. */
  function patchHost(copy, next, live, scope, template) {
    const source = children(next).find((node) => isElement(node) && matches(node, SHADOW));
    const place = children(next).indexOf(source);
    remove(template);
    if (source) {
      remove(source);
      copyAttributes(template, source);
      patchTree(template.content, source.content, liveOf.get(template));
    } else rootsOf.delete(copy); // a script's own, or else it cannot be undone
    patchNodes(copy, next, live, scope);
    if (source) insertBefore(copy, template, childNodes(copy)[place] ?? null);
  }

  /** Make a template the shadow root of `host`, as a parser does. */
  function attach(copy, host) {
    const live = liveOf.get(copy);
    const has = (name) => attribute(copy, name) !== null;
    let shadow;
    try {
      shadow = attachShadow(host, {
        mode: attribute(copy, "shadowrootmode"),
        delegatesFocus: has("shadowrootdelegatesfocus"),
        clonable: has("shadowrootclonable"),
        serializable: has("shadowrootserializable"),
      });
    } catch {
      return; // it has one, or cannot have any: a template it stays
    }
    shadow.append(live.content);
    remove(live);
    tie(copy.content, shadow);
    liveOf.set(copy, shadow);
    rootsOf.set(parentOf(copy), copy);
    for (const template of all(copy.content, SHADOW)) attach(template, liveOf.get(parentOf(template)));
  }

  // --- Attributes -------------------------------------------------------------------------------------

  function patchAttributes(copy, next, live) {
    const [names, nextNames] = [attributeNames(copy), attributeNames(next)];
    if (!names.length && !nextNames.length) return;
    const changed = nextNames.filter((name) => attribute(copy, name) !== attribute(next, name));
    const gone = names.filter((name) => attribute(next, name) === null);
    for (const name of changed) {
      const [last, value] = [attribute(copy, name), attribute(next, name)];
      if (patchSpecial(copy, next, live, name, last, value)) continue;
      if (attribute(live, name) !== value) copyAttribute(live, attributesOf(next).getNamedItem(name));
    }
    for (const name of gone) {
      if (!patchSpecial(copy, next, live, name, attribute(copy, name), null)) removeAttribute(live, name);
    }
    if (!changed.length && !gone.length) return;
    if (names.length === nextNames.length && nextNames.every((name, index) => name === names[index])) {
      for (const name of changed) copyAttribute(copy, attributesOf(next).getNamedItem(name));
    } else copyAttributes(copy, next);
  }

  /** As in the new HTML, and in its order. */
  function copyAttributes(copy, next) {
    for (const { namespaceURI, localName } of [...attributesOf(copy)])
      removeAttributeNS(copy, namespaceURI, localName);
    for (const attr of attributesOf(next)) copyAttribute(copy, attr);
  }

  /** Attributes that scripts and persons share with the server. Returns whether this is one. */
  function patchSpecial(copy, next, live, name, last, value) {
    if (options.set?.(live, name, value)) return true;
    if (name === "style" && styleOf(live)) return patchStyle(copy, next, live);
    if (name === "class") return patchClass(live, last, value);
    // Without its attribute alone a modal dialog would go on holding the page.
    if (name === "open" && value === null && live instanceof HTMLDialogElement) live.close();
    return false;
  }

  function patchClass(live, last, value) {
    if (attribute(live, "class") === last) return false;
    const [lost, gained] = [last, value].map((text) => new Set(text?.match(/\S+/g)));
    const classes = classesOf(live);
    for (const name of lost) if (!gained.has(name)) classes.remove(name);
    for (const name of gained) if (!lost.has(name)) classes.add(name);
    if (value === null && !classes.length) removeAttribute(live, "class");
    return true;
  }

  /** By property: what a script or a person set otherwise stays, and a strict policy allows it. */
  function patchStyle(copy, next, live) {
    const [last, style, own] = [copy, next, live].map(styleOf);
    for (const name of last) if (!style.getPropertyValue(name)) own.removeProperty(name);
    for (const name of style) {
      const [value, priority] = [style.getPropertyValue(name), style.getPropertyPriority(name)];
      if (last.getPropertyValue(name) !== value || last.getPropertyPriority(name) !== priority) {
        own.setProperty(name, value, priority);
      }
    }
    if (!own.length) removeAttribute(live, "style");
    return true;
  }

  // --- Whole regions and pages --------------------------------------------------------------------------

  /** As a parser reads it inside such an element: rows in a table, shapes in an SVG. */
  function parse(html, target) {
    const around = inert.createElementNS(namespaceOf(target), nameOf(target));
    around.innerHTML = policy.createHTML(html);
    return settle(around);
  }

  /** Parsed where no script runs, the content of noscript came out as elements, which would load their images. */
  function settle(source) {
    for (const noscript of all(source, "noscript")) noscript.textContent = noscript.innerHTML;
    return tidy(source);
  }

  /** The head stays as it is, but for the title: what is in there has been loaded. */
  function patchPage(html) {
    const source = bare(new DOMParser().parseFromString(policy.createHTML(html), "text/html"));
    const [next, body] = [source.documentElement, source.body];
    settle(next);
    return (copy) => {
      if (/<html[\s>]/i.test(html)) patchAttributes(copy, next, page.documentElement);
      const last = copyOf.get(page.body);
      if (/<body[\s>]/i.test(html)) patchAttributes(last, body, page.body);
      patchTitle(copy, source.title);
      patchTree(last, body, page.body);
    };
  }

  function patchRegion(html, target) {
    const source = parse(html, target);
    return (copy) => patchTree(copy, source, target);
  }

  function patchTitle(copy, title) {
    const last = find(copy, "head > title");
    if (!title || last?.textContent === title) return;
    if (last) last.textContent = title;
    if (page.title !== title) Reflect.set(Document.prototype, "title", title, document);
  }

  function patch(target, html, given = {}) {
    options = given;
    result = { skipped: false, late: false };
    hasTemplates = false;
    const isPage = target === page.documentElement;
    const [read, body] = isPage ? [patchPage, page.body] : [patchRegion, target];
    let apply = read(html, target);
    try {
      apply(copyOf.has(body) ? copyOf.get(target) : renew(target));
    } catch (error) {
      reportError(error);
      // Compared with what is there by now, the page becomes what the server says, whatever stood in the way.
      apply = read(html, target);
      try {
        apply(renew(target));
      } catch (again) {
        copyOf.delete(body);
        throw again;
      }
    }
    return result;
  }

  copyPage();
  document[PATCH] = {
    patch,
    copyPage,
    served: (element) => copyOf.get(element),
    scriptURL: (url) => policy.createScriptURL(url),
  };
  page.dispatchEvent(new Event("djust_presence.patch"));
})();
