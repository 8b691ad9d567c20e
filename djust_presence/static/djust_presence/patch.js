/**
 * Patching by difference: shows a server's new HTML by applying what the server has changed since its last HTML.
 *
 * The last HTML is kept as a tree, the replica, whose nodes are tied to those of the page. Nodes without a tie are a
 * script's: see docs/explanation/patching.md.
 */
(() => {
  "use strict";

  const PATCH = Symbol.for("djust_presence.patch");
  if (document[PATCH]) return;

  const PRESERVED = "[hx-preserve], [data-hx-preserve]"; // htmx takes these along to the next page
  const SHADOW = "template[shadowrootmode]";
  const MOST_CELLS = 4_000_000; // of a table for the alignment of two lists
  // How alike two nodes without an id are, by what they have in common.
  const EQUAL = 32; // more than all of these
  const LIKENESS = Object.entries({ field: 6, tag: 4, content: 4, classes: 3, kind: 1 });
  const START = /^(?:[^">]|"[^"]*")*/; // a start tag, as serialised, up to its end

  // --- The DOM, through its prototypes: a form's fields and a document's images hide properties of their names ---

  const getter = ({ prototype }, name) => {
    const { get } = Object.getOwnPropertyDescriptor(prototype, name);
    return (node) => get.call(node);
  };
  const method = ({ prototype }, name) => {
    const { [name]: called } = prototype;
    return called && ((node, one, two, three) => called.call(node, one, two, three));
  };

  const typeOf = getter(Node, "nodeType");
  const parentOf = getter(Node, "parentNode");
  const firstOf = getter(Node, "firstChild");
  const nextOf = getter(Node, "nextSibling");
  const documentOf = getter(Node, "ownerDocument");
  const isConnected = getter(Node, "isConnected");
  const insertBefore = method(Node, "insertBefore");
  const removeChild = method(Node, "removeChild");
  const replaceChild = method(Node, "replaceChild");
  const isEqualNode = method(Node, "isEqualNode");
  const contains = method(Node, "contains");
  const nameOf = getter(Element, "localName");
  const namespaceOf = getter(Element, "namespaceURI");
  const attributesOf = getter(Element, "attributes");
  const classesOf = getter(Element, "classList");
  const shadowOf = getter(Element, "shadowRoot");
  const outerOf = getter(Element, "outerHTML");
  const isEditable = getter(HTMLElement, "isContentEditable");
  const styleOfHtml = getter(HTMLElement, "style");
  const attribute = method(Element, "getAttribute");
  const attributeNames = method(Element, "getAttributeNames");
  const removeAttribute = method(Element, "removeAttribute");
  const removeAttributeNS = method(Element, "removeAttributeNS");
  const setAttributeNS = method(Element, "setAttributeNS");
  const matches = method(Element, "matches");
  const attachShadow = method(Element, "attachShadow");
  const moveBefore = method(Element, "moveBefore");
  const find = method(Element, "querySelector");
  const findAll = method(Element, "querySelectorAll");
  const findAllIn = method(DocumentFragment, "querySelectorAll");
  const activeOf = getter(Document, "activeElement");
  const bodyOf = getter(Document, "body");
  const htmlOf = getter(Document, "documentElement");
  const titleOf = getter(Document, "title");
  const implementationOf = getter(Document, "implementation");
  const adoptNode = method(Document, "adoptNode");
  const importNode = method(Document, "importNode");
  const dispatchEvent = method(EventTarget, "dispatchEvent");

  const all = (root, selector) => (isElement(root) ? findAll : findAllIn)(root, selector);
  const styleOf = (element) => (element instanceof HTMLElement ? styleOfHtml(element) : element.style);
  const isElement = (node) => typeOf(node) === Node.ELEMENT_NODE;
  const isTree = (node) => isElement(node) || typeOf(node) === Node.DOCUMENT_FRAGMENT_NODE;
  const isBlank = (node) => typeOf(node) === Node.TEXT_NODE && !/\S/.test(node.data);
  const isIgnored = (node) => isElement(node) && attribute(node, "dj-update") === "ignore";

  function children(parent) {
    const found = [];
    for (let node = firstOf(parent); node; node = nextOf(node)) found.push(node);
    return found;
  }

  function remove(node) {
    const parent = parentOf(node);
    if (parent) removeChild(parent, node);
  }

  const replace = (last, fresh) => replaceChild(parentOf(last), fresh, last);

  // --- Trusted Types: only for the server's own HTML ---

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

  /** A copied node keeps namespaces, and names that only parsers take. */
  function copyAttribute(element, attr) {
    const { namespaceURI, localName, name, value } = attr;
    const type = types?.getAttributeType(nameOf(element), localName, namespaceOf(element), namespaceURI);
    if (type) setAttributeNS(element, namespaceURI, name, policy[type.replace("Trusted", "create")](value));
    else attributesOf(element).setNamedItemNS(attr.cloneNode());
  }

  // --- Replicas ---

  const liveOf = new WeakMap(); // node of a replica → node of the page
  const copyOf = new WeakMap(); // and back
  const rootsOf = new WeakMap(); // element of a replica → the template in it that is the shadow root in the page
  const inert = implementationOf(document).createHTMLDocument(""); // where replicas live: nothing loads or runs
  let root; // the replica of the page

  function tie(copy, live) {
    liveOf.set(copy, live);
    copyOf.set(live, copy);
  }

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
    for (const child of children(copy)) untie(child);
  }

  /** Make an older replica the one of its nodes again. */
  function retie(copy) {
    const live = liveOf.get(copy);
    if (live) copyOf.set(live, copy);
    for (const child of children(copy)) retie(child);
  }

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
    tieRoot(template, shadow);
  }

  function tieRoot(template, shadow) {
    tie(template.content, shadow);
    liveOf.set(template, shadow);
    rootsOf.set(parentOf(template), template);
  }

  function copyPage() {
    const preserved = [...all(htmlOf(document), PRESERVED)].map((live) => copyOf.get(live)).filter(Boolean);
    root = replicate(htmlOf(document));
    for (const last of preserved) {
      replace(copyOf.get(liveOf.get(last)), last);
      retie(last);
    }
  }

  /** Replicate an element again, in the place of its last replica. */
  function renew(live) {
    const id = attribute(live, "id");
    const last = copyOf.get(live) ?? (id && find(root, `${nameOf(live)}[id="${CSS.escape(id)}"]`));
    if (last) untie(last);
    const copy = replicate(live);
    if (last && parentOf(last)) replace(last, copy);
    else if (live === htmlOf(document)) root = copy;
    return copy;
  }

  /** Remove attributes without effect: nonces, and style attributes under a strict policy. */
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

  // --- Equality ---

  /** isEqualNode() does not look into templates. */
  function isSame(one, other) {
    if (!isEqualNode(one, other)) return false;
    if (!hasTemplates) return true;
    const [ones, others] = [one, other].map(templatesIn);
    return ones.every(({ content }, index) => isSame(content, others[index].content));
  }

  function templatesIn(tree) {
    if (tree instanceof HTMLTemplateElement) return [tree];
    return isTree(tree) ? [...all(tree, "template")] : [];
  }

  function haveSameContent(one, other) {
    const [ones, others] = [children(one), children(other)];
    return ones.length === others.length && ones.every((node, index) => isSame(node, others[index]));
  }

  // --- Matching of nodes ---

  function areAlike(last, next) {
    if (typeOf(last) !== typeOf(next)) return false;
    return !isElement(last) || (areOfOneKind(last, next) && isIgnored(last) === isIgnored(next));
  }

  const areOfOneKind = (one, other) =>
    nameOf(one) === nameOf(other) &&
    namespaceOf(one) === namespaceOf(other) &&
    attribute(one, "is") === attribute(other, "is");

  /** Items by key; null if several have the key, so that none is found by it. */
  function byKey(things, keyOf) {
    const found = new Map();
    for (const thing of things) {
      const key = keyOf(thing);
      if (key) found.set(key, found.has(key) ? null : thing);
    }
    return found;
  }

  const idOf = (node) => isElement(node) && attribute(node, "id");

  /** Note the element for all its ancestors. */
  function climb(element, around) {
    for (let at = parentOf(element); at && !around.has(at); at = parentOf(at)) around.set(at, element);
  }

  /** The elements with the same id in both, in whatever place. */
  function identify(copy, next) {
    const [before, after] = [copy, next].map((tree) => byKey(all(tree, "[id]"), idOf));
    const ids = {
      partners: new Map(), // element of the new HTML → of the replica
      wanted: new Set(), // these elements of the replica
      holders: new Map(), // the ancestors of these in the replica
      first: new Map(), // ancestor in the new HTML → the first of them in it
      hasOwnId: (node) => {
        const id = idOf(node);
        const unique = id && before.get(id) !== null && after.get(id) !== null;
        return Boolean(unique && (before.get(id) === node || after.get(id) === node));
      },
    };
    for (const [id, element] of after) {
      const last = element && before.get(id);
      if (!last || !areOfOneKind(last, element)) continue;
      ids.partners.set(element, last);
      ids.wanted.add(last);
      climb(element, ids.first);
      climb(last, ids.holders);
    }
    return ids;
  }

  /** Whether each node is in its place, as far as this can be told at a glance. */
  function areInPlace(before, after, scope) {
    if (before.length !== after.length) return false;
    let unknown = 0;
    return after.every((next, index) => {
      const last = before[index];
      if (!areAlike(last, next) || isBlank(last) !== isBlank(next)) return false;
      if (isBlank(next)) return true;
      const id = idOf(next);
      if (id && id !== idOf(last)) return false;
      if (id && after.length > 1) return scope.ids.partners.get(next) === last;
      unknown += 1;
      return unknown === 1 && (id || !idOf(last));
    });
  }

  /** Match nodes of the new HTML to nodes of the replica. */
  function match(copy, before, after, places, ids) {
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
    const others = [...free].filter((node) => !isBlank(node) && !ids.hasOwnId(node));
    align(others, rest, pair);
    // Blank text goes with what it follows.
    after.forEach((next, index) => {
      if (pairs.has(next) || !isBlank(next)) return;
      const blank = before[index ? (places.get(pairs.get(after[index - 1])) ?? -2) + 1 : 0];
      if (free.has(blank) && isBlank(blank)) pair(blank, next);
    });
    return pairs;
  }

  /** Pair nodes that are equal and unique on both sides, in any order; then the rest in order, by likeness. */
  function align(before, after, pair) {
    pairEnds(before, after, pair);
    if (!before.length || !after.length) return;
    const numbers = new Map(); // texts are compared as numbers
    const number = (text) => {
      if (!numbers.has(text)) numbers.set(text, numbers.size + 1);
      return numbers.get(text);
    };
    const [olds, news] = [before, after].map((nodes) => nodes.map((node) => describe(node, number)));
    const [alone, nextAlone] = [olds, news].map((sketches) => byKey(sketches, ({ whole }) => whole));
    for (const [whole, old] of alone) {
      const next = old && nextAlone.get(whole);
      if (!next) continue;
      pair(old.node, next.node);
      old.paired = next.paired = true;
    }
    alignInOrder(...[olds, news].map((sketches) => sketches.filter(({ paired }) => !paired)), pair);
  }

  /** Take equal nodes off both ends of the lists. Returns the last node taken off the end, or null. */
  function trim(before, after, pair = (_last, _next) => {}) {
    const most = Math.min(before.length, after.length);
    let start = 0;
    while (start < most && isSame(before[start], after[start])) pair(before[start], after[start++]);
    for (const nodes of [before, after]) nodes.splice(0, start);
    let end = null;
    while (before.length && after.length && isSame(before.at(-1), after.at(-1))) {
      end = before.pop();
      pair(end, after.pop());
    }
    return end;
  }

  /** Pair equal nodes at the ends, and one that moved from one end to the other. */
  function pairEnds(before, after, pair) {
    trim(before, after, pair);
    const isOnly = (one) =>
      [before, after].every((nodes) => nodes.filter((node) => isSame(node, one)).length === 1);
    if (before.length < 2 || after.length < 2) return;
    if (isSame(before.at(-1), after[0]) && isOnly(after[0])) pair(before.pop(), after.shift());
    else if (isSame(before[0], after.at(-1)) && isOnly(before[0])) pair(before.shift(), after.pop());
    else return;
    trim(before, after, pair);
  }

  function describe(node, number) {
    if (!isElement(node)) {
      const kind = number(`type ${typeOf(node)}`);
      return { node, kind, whole: number(`${kind} ${node.data}`) };
    }
    const name = nameOf(node);
    const outer = outerOf(node);
    const [tag] = START.exec(outer);
    const content = outer.slice(tag.length);
    const classes = attribute(node, "class");
    return {
      node,
      kind: number(`${namespaceOf(node)} ${name} ${attribute(node, "is")} ${isIgnored(node)}`),
      whole: number(outer),
      tag: number(tag),
      content: content.length > name.length + "></>".length && number(content),
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
    return sum((key) => old[key] && old[key] === next[key]);
  }

  const sum = (has) => LIKENESS.reduce((total, [key, worth]) => (has(key) ? total + worth : total), 0);

  /** Whether no other alignment is better than that of the first with the first, and so on. */
  function isBestInPlace(olds, news) {
    const [some, others] = olds.length < news.length ? [olds, news] : [news, olds];
    const found = {};
    for (const key of ["whole", ...LIKENESS.map(([key]) => key)]) {
      found[key] = new Set(others.map((other) => other[key]));
    }
    return some.every((one, index) => {
      const most = found.whole.has(one.whole) ? EQUAL : sum((key) => one[key] && found[key].has(one[key]));
      return likeness(one, others[index]) === most;
    });
  }

  /** Pair by the greatest likeness in all, as sequences are aligned. */
  function alignInOrder(olds, news, pair) {
    const width = news.length + 1;
    if (olds.length * news.length > MOST_CELLS || isBestInPlace(olds, news)) {
      news.forEach((next, index) => olds[index]?.kind === next.kind && pair(olds[index].node, next.node));
      return;
    }
    const best = new Int32Array((olds.length + 1) * width); // likeness of the rest from there
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
      let [low, high] = [0, ends.length];
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

  // --- Applying the difference ---

  let options;
  let result;
  let hasTemplates;

  /** The child of `parent` that is or contains this node, as a script may have wrapped it. Null if there is none. */
  function within(node, parent) {
    const up = node && parentOf(node);
    if (up === parent) return node;
    return up && !copyOf.has(up) ? within(up, parent) : null;
  }

  function place(node, parent, next) {
    const before = within(next, parent);
    if (node === before || (parentOf(node) === parent && nextOf(node) === before)) return;
    const moves = moveBefore && isElement(parent) && isConnected(parent) && isConnected(node);
    // A parser's document is connected, too.
    if (moves && documentOf(node) === documentOf(parent)) moveBefore(parent, node, before);
    else insertBefore(parent, node, before);
  }

  function patchTree(copy, next, live) {
    hasTemplates ||= [copy, next].some((tree) => all(tree, "template").length > 0);
    let ids;
    const scope = {
      emptied: [], // removed nodes with their parents, to be emptied when nothing in them is wanted
      // Not needed where all elements are in place.
      get ids() {
        return (ids ??= identify(copy, next));
      },
    };
    patchChildren(copy, next, live, scope);
    for (const [last, parent] of scope.emptied) drop(last, parent);
  }

  function patchChildren(copy, next, live, scope) {
    const template = rootsOf.get(copy);
    if (!template) {
      patchNodes(copy, next, live, scope);
      return;
    }
    // Its shadow root is a template of the replica and of the new HTML.
    const source = children(next).find((node) => isElement(node) && matches(node, SHADOW));
    const place = children(next).indexOf(source);
    remove(template);
    if (source) {
      remove(source);
      copyAttributes(template, source);
      patchTree(template.content, source.content, liveOf.get(template));
    } else rootsOf.delete(copy); // a script's own, or else it cannot be undone
    patchNodes(copy, next, live, scope);
    if (source) insertBefore(copy, template, children(copy)[place] ?? null);
  }

  function patchNodes(copy, next, live, scope) {
    let [before, after] = [copy, next].map(children);
    let end = trim(before, after);
    if (!before.length && !after.length) return;
    const isReplaced = dropReplacement(copy, live);
    if (isReplaced) {
      [before, after] = [copy, next].map(children);
      end = null;
    }
    const spot = { copy: end, parent: live, next: firstWithin(end, live), isReplaced, scope };
    const places = new Map(before.map((node, index) => [node, index]));
    const pairs = areInPlace(before, after, scope)
      ? new Map(after.map((node, index) => [node, before[index]]))
      : match(copy, before, after, places, scope.ids);
    const taken = new Set(pairs.values());
    for (const node of before) {
      if (taken.has(node) || scope.ids.wanted.has(node)) continue;
      if (scope.ids.holders.has(node)) scope.emptied.push([node, live]);
      else drop(node, live);
    }
    const known = after.map((node) => pairs.get(node));
    const still = steady(known, places);
    // From the end, as nodes are inserted before their next sibling: nodes that a script put behind one stay with it.
    for (const node of after.reverse()) {
      const last = pairs.get(node);
      if (last) {
        const from = liveOf.get(parentOf(last));
        const isMoved = !still.has(last);
        if (isMoved) insertBefore(copy, last, spot.copy);
        spot.copy = show(last, node, spot, from, isMoved);
      } else spot.copy = add(node, copy, spot);
      const shown = liveOf.get(spot.copy);
      if (within(shown, live)) spot.next = shown;
    }
  }

  /** The first in the page of these nodes of a replica that is in `parent`. */
  function firstWithin(copy, parent) {
    for (let node = copy; node; node = nextOf(node)) {
      const live = liveOf.get(node);
      if (within(live, parent)) return live;
    }
    return null;
  }

  /** Show what the replica has. Returns its replica then. */
  function show(copy, next, spot, from, isMoved) {
    const { parent, next: nextLive, isReplaced, scope } = spot;
    const live = liveOf.get(copy);
    const here = within(live, from);
    if (here || (live && isConnected(live))) {
      // If a script has moved it elsewhere, it stays there.
      if (here && isMoved) place(from === parent ? here : live, parent, nextLive);
      update(copy, next, live, scope);
      return copy;
    }
    // A script has removed it: it stays away until the server changes it.
    if (!isReplaced && isSame(copy, next)) return copy;
    if (swapped(next, parent)) {
      const around = parentOf(copy);
      untie(copy);
      remove(copy);
      return add(next, around, spot);
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
    const live = isShallow ? importNode(document, next, false) : adoptNode(document, next);
    tieAll(fresh, live);
    if (isElement(fresh) && hasTemplates) {
      for (const template of all(fresh, SHADOW)) attach(template, liveOf.get(parentOf(template)));
    }
    place(live, parent, nextLive);
    if (isShallow) patchChildren(fresh, next, live, scope);
    else if (isElement(fresh) && matches(fresh, SHADOW)) attach(fresh, parent);
    return fresh;
  }

  /** The element with which a script has replaced one of ours, with its id. */
  function swapped(next, parent) {
    const id = idOf(next);
    const isIt = (node) => idOf(node) === id && !copyOf.has(node) && areOfOneKind(node, next);
    return id && children(parent).find(isIt);
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
    // Nodes that a script has put around it, or right behind it, go with it.
    if (!isForeign(unit)) unit = live;
    if (isElement(live) && parent !== bodyOf(document)) {
      for (let behind; (behind = nextOf(unit)) instanceof Element && isForeign(behind); ) {
        remove(behind);
      }
    }
    remove(unit);
  }

  /** Whether nothing in there is the server's. */
  const isForeign = (live) => !copyOf.has(live) && children(live).every(isForeign);

  /** Remove content with which a script has replaced all of ours. Returns whether there was some. */
  function dropReplacement(copy, live) {
    const isThere = (node) => {
      const shown = liveOf.get(node);
      return (shown && (within(shown, live) || isConnected(shown))) || swapped(node, live);
    };
    const nodes = children(copy).filter((node) => !isBlank(node));
    const foreign = children(live).filter((node) => !copyOf.has(node));
    if (!nodes.length || foreign.every(isBlank) || nodes.some(isThere)) return false;
    foreign.forEach(remove);
    return true;
  }

  /** Remove the text of a translator, which has removed ours and put its own before that place. */
  function dropTranslation(parent, nextLive) {
    const nodes = children(parent);
    const next = within(nextLive, parent);
    if (next) nodes.length = nodes.indexOf(next);
    for (const node of nodes.reverse()) {
      if (copyOf.has(node) || !(node instanceof Text || node instanceof HTMLFontElement)) return;
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
    if (isIgnored(live) && (isIgnored(next) || !isIgnored(copy))) return;
    if (live === options.leave) {
      result.skipped = true;
      return;
    }
    patchAttributes(copy, next, live);
    if (live instanceof HTMLTextAreaElement) {
      const { defaultValue } = next;
      if (copy.defaultValue !== defaultValue) live.defaultValue = copy.defaultValue = defaultValue;
    } else if (live instanceof HTMLTemplateElement) patchTree(copy.content, next.content, live.content);
    else if (live instanceof HTMLElement && isEditable(live)) patchEditable(copy, next, live, scope);
    else patchChildren(copy, next, live, scope);
  }

  /** Keep content that a person has written until the server changes it; then replace it as a whole. */
  function patchEditable(copy, next, live, scope) {
    if (haveSameContent(copy, next)) return;
    const now = tidy(inert.importNode(live, true));
    const isUntouched = haveSameContent(now, copy);
    if (contains(live, activeOf(document))) {
      if (isUntouched) result.late = true;
      else replaceContent(copy, children(inert.importNode(next, true)));
      return;
    }
    if (isUntouched) tieAll(copy, live);
    else {
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
      return; // it has one, or cannot have one: it stays a template
    }
    shadow.append(live.content);
    remove(live);
    tieRoot(copy, shadow);
    for (const template of all(copy.content, SHADOW)) attach(template, liveOf.get(parentOf(template)));
  }

  // --- Attributes ---

  function patchAttributes(copy, next, live) {
    const names = new Set([copy, next].flatMap(attributeNames));
    const changed = [...names].filter((name) => attribute(copy, name) !== attribute(next, name));
    for (const name of changed) {
      const value = attribute(next, name);
      if (patchSpecial(copy, next, live, name, attribute(copy, name), value)) continue;
      if (value === null) removeAttribute(live, name);
      else if (attribute(live, name) !== value) copyAttribute(live, attributesOf(next).getNamedItem(name));
    }
    if (changed.length) copyAttributes(copy, next);
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

  /** Patch single properties: those set by a script or a person stay, and a strict policy allows it. */
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

  // --- Whole regions and pages ---

  /** Make the content of noscript text: parsed without scripting it became elements, which would load images. */
  function settle(source) {
    for (const noscript of all(source, "noscript")) noscript.textContent = noscript.innerHTML;
    tidy(source);
  }

  /** Patch only the title of the head: everything else in there has been loaded. */
  function patchPage(html) {
    const source = new DOMParser().parseFromString(policy.createHTML(html), "text/html");
    const [next, body] = [htmlOf(source), bodyOf(source)];
    settle(next);
    return (copy) => {
      if (/<html[\s>]/i.test(html)) patchAttributes(copy, next, htmlOf(document));
      const last = copyOf.get(bodyOf(document));
      if (/<body[\s>]/i.test(html)) patchAttributes(last, body, bodyOf(document));
      patchTitle(copy, titleOf(source));
      patchTree(last, body, bodyOf(document));
    };
  }

  function patchRegion(html, target) {
    // Parsed inside such an element: rows in a table, shapes in an SVG.
    const source = inert.createElementNS(namespaceOf(target), nameOf(target));
    source.innerHTML = policy.createHTML(html);
    settle(source);
    return (copy) => patchTree(copy, source, target);
  }

  function patchTitle(copy, title) {
    const last = find(copy, "head > title");
    if (!title || last?.textContent === title) return;
    if (last) last.textContent = title;
    if (titleOf(document) !== title) Reflect.set(Document.prototype, "title", title, document);
  }

  function patch(target, html, given = {}) {
    options = given;
    result = { skipped: false, late: false };
    hasTemplates = false;
    const isPage = target === htmlOf(document);
    const [read, body] = isPage ? [patchPage, bodyOf(document)] : [patchRegion, target];
    let apply = read(html, target);
    try {
      apply(copyOf.has(body) ? copyOf.get(target) : renew(target));
    } catch (error) {
      reportError(error);
      // Compared with the present page, so that it becomes the server's HTML.
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
  dispatchEvent(document, new Event("djust_presence.patch"));
})();
