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

  const IGNORED = '[dj-update="ignore"]';
  const SHADOW = "template[shadowrootmode]";
  const MOST_CELLS = 4_000_000; // of a table for the alignment of two lists
  // How alike two nodes of one kind are, of which none has an id of its own.
  const EQUAL = 32;
  const FIELD = 6; // the same field is in both
  const TAG = 4; // all attributes are the same
  const CONTENT = 4;
  const CLASS = 3;
  const KIND = 1;

  // --- The DOM, through its prototypes: a form's fields and a document's images hide what they are named after ---

  const getter = (prototype, name) => {
    const { get } = Object.getOwnPropertyDescriptor(prototype, name);
    return (node) => get.call(node);
  };
  const method = (prototype, name) => {
    const { [name]: called } = prototype;
    return called && ((node, ...args) => called.apply(node, args));
  };

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
  const innerOf = getter(Element.prototype, "innerHTML");
  const outerOf = getter(Element.prototype, "outerHTML");
  const isEditable = getter(HTMLElement.prototype, "isContentEditable");
  const styleOfHtml = getter(HTMLElement.prototype, "style");
  const attribute = method(Element.prototype, "getAttribute");
  const attributeNS = method(Element.prototype, "getAttributeNS");
  const hasAttributeNS = method(Element.prototype, "hasAttributeNS");
  const removeAttribute = method(Element.prototype, "removeAttribute");
  const removeAttributeNS = method(Element.prototype, "removeAttributeNS");
  const setAttributeNS = method(Element.prototype, "setAttributeNS");
  const matches = method(Element.prototype, "matches");
  const attachShadow = method(Element.prototype, "attachShadow");
  const moveBefore = method(Element.prototype, "moveBefore");
  const find = method(Element.prototype, "querySelector");
  const findAll = method(Element.prototype, "querySelectorAll");
  const findAllIn = method(DocumentFragment.prototype, "querySelectorAll");

  const all = (root, selector) => (root instanceof Element ? findAll : findAllIn)(root, selector);
  const styleOf = (element) => (element instanceof HTMLElement ? styleOfHtml(element) : element.style);
  const isTree = (node) => node instanceof Element || node instanceof DocumentFragment;
  const children = (node) => Array.from(childNodes(node));
  const isBlank = (node) => node instanceof Text && !/\S/.test(node.data);
  const isIgnored = (node) => node instanceof Element && matches(node, IGNORED);

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

  /** A replica of what is in the page. */
  function replicate(live) {
    const copy = tidy(inert.importNode(live, true));
    tieAll(copy, live);
    if (live instanceof Element) {
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
  }

  function copyPage() {
    root = replicate(page.documentElement);
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
    if (tree instanceof Element) elements.push(tree);
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

  /** What two nodes must have in common to be the same one. */
  const kindOf = (node) =>
    node instanceof Element
      ? `${namespaceOf(node)} ${nameOf(node)} ${attribute(node, "is") ?? ""}`
      : String(node.constructor.name);

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
    const scope = {
      partners: new Map(), // element of the new HTML → of the replica
      wanted: new Set(), // these elements of the replica
      holders: new Set(), // what of the replica is around them
      first: new Map(), // what of the new HTML is around one → the first that is in it
      emptied: [], // what has gone, with its parent, once nothing in it is wanted
      hasOwnId: (element) => {
        const id = element instanceof Element && attribute(element, "id");
        const unique = id && before.get(id) !== null && after.get(id) !== null;
        return Boolean(unique && (before.get(id) === element || after.get(id) === element));
      },
    };
    for (const [id, element] of after) {
      const last = element && before.get(id);
      if (!last || kindOf(last) !== kindOf(element)) continue;
      scope.partners.set(element, last);
      scope.wanted.add(last);
      for (let at = parentOf(element); at && !scope.first.has(at); at = parentOf(at)) scope.first.set(at, element);
      for (let at = parentOf(last); at && !scope.holders.has(at); at = parentOf(at)) scope.holders.add(at);
    }
    return scope;
  }

  /** Node of the new HTML → the one of the replica that it is. `same` gets those that are equal. */
  function match(copy, before, after, scope, same) {
    const pairs = new Map();
    const pair = (last, next) => {
      pairs.set(next, last);
      free.delete(last);
    };
    const pairSame = (last, next) => {
      pair(last, next);
      same.add(next);
    };
    const free = new Set(before);
    let [start, end, nextEnd] = [0, before.length, after.length];
    while (start < end && start < nextEnd && isSame(before[start], after[start])) {
      pairSame(before[start], after[start]);
      start += 1;
    }
    while (end > start && nextEnd > start && isSame(before[end - 1], after[nextEnd - 1])) {
      end -= 1;
      nextEnd -= 1;
      pairSame(before[end], after[nextEnd]);
    }
    if (start === nextEnd) return pairs;
    const rest = [];
    for (const next of after.slice(start, nextEnd)) {
      const known = scope.partners.get(next);
      const inside = scope.partners.get(scope.first.get(next));
      if (known) pair(known, next);
      else if (scope.hasOwnId(next) || isBlank(next)) continue;
      else {
        let around = inside;
        while (around && parentOf(around) !== copy) around = parentOf(around);
        if (free.has(around) && !scope.hasOwnId(around) && areAlike(around, next)) pair(around, next);
        else rest.push(next);
      }
    }
    if (rest.length) {
      align([...free].filter((node) => !scope.hasOwnId(node) && !isBlank(node)), rest, pair);
    }
    // Blank text goes with what it follows.
    const places = new Map(before.map((node, index) => [node, index]));
    after.forEach((next, index) => {
      if (pairs.has(next) || !isBlank(next)) return;
      const blank = before[index ? (places.get(pairs.get(after[index - 1])) ?? -2) + 1 : 0];
      if (free.has(blank) && isBlank(blank)) pair(blank, next);
    });
    return pairs;
  }

  const areAlike = (last, next) => kindOf(last) === kindOf(next) && isIgnored(last) === isIgnored(next);

  /** Pair what is equal and alone on both sides, in any order; then the rest in order, as alike as can be. */
  function align(before, after, pair) {
    if (!before.length) return;
    if (before.length === 1 && after.length === 1) {
      if (areAlike(before[0], after[0])) pair(before[0], after[0]);
      return;
    }
    const numbers = new Map(); // texts are compared as numbers
    const number = (text) => {
      if (!numbers.has(text)) numbers.set(text, numbers.size + 1);
      return numbers.get(text);
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

  function describe(node, number) {
    const kind = number(`kind ${kindOf(node)} ${isIgnored(node)}`);
    if (!(node instanceof Element)) return { node, kind, whole: number(`text ${kind} ${node.data}`) };
    const [outer, inner, end] = [outerOf(node), innerOf(node), `</${nameOf(node)}>`];
    const classes = attribute(node, "class");
    const tail = inner.length + (outer.endsWith(end) ? end.length : 0);
    return {
      node,
      kind,
      whole: number(outer),
      tag: number(outer.slice(0, outer.length - tail)),
      content: inner && number(inner),
      classes: classes && number(`class ${classes}`),
      field: fieldOf(node, number),
    };
  }

  function fieldOf(element, number) {
    if (element instanceof HTMLOptionElement) return number(`option ${element.value}`);
    const field = matches(element, "[name]") ? element : find(element, "[name]");
    if (!field) return 0;
    const isChoice = ["radio", "checkbox"].includes(attribute(field, "type"));
    return number(`field ${attribute(field, "name")} ${isChoice ? attribute(field, "value") : ""}`);
  }

  function likeness(old, next) {
    if (old.kind !== next.kind) return 0;
    if (old.whole === next.whole) return EQUAL;
    return (
      KIND +
      (old.field && old.field === next.field ? FIELD : 0) +
      (old.tag && old.tag === next.tag ? TAG : 0) +
      (old.content && old.content === next.content ? CONTENT : 0) +
      (old.classes && old.classes === next.classes ? CLASS : 0)
    );
  }

  /** The alignment of the greatest likeness in all, as sequences are aligned. */
  function alignInOrder(olds, news, pair) {
    const width = news.length + 1;
    if (olds.length * news.length > MOST_CELLS) {
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

  // --- Applying the difference ------------------------------------------------------------------------

  let options;
  let result;

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
    const moves = moveBefore && parent instanceof Element && isConnected(parent) && isConnected(node);
    // A parser's document is connected, too.
    if (moves && documentOf(node) === documentOf(parent)) moveBefore(parent, node, before);
    else insertBefore(parent, node, before);
  }

  function patchTree(copy, next, live) {
    const scope = identify(copy, next);
    patchChildren(copy, next, live, scope);
    for (const [last, parent] of scope.emptied) drop(last, parent);
  }

  function patchChildren(copy, next, live, scope) {
    const [before, after] = [children(copy), children(next)];
    patchShadow(before, after, live);
    const same = new Set();
    const pairs = match(copy, before, after, scope, same);
    if (before.length === after.length && same.size === after.length) return;
    const isReplaced = dropReplacement(before, live);
    const taken = new Set(pairs.values());
    for (const last of before) {
      if (taken.has(last) || scope.wanted.has(last)) continue;
      if (scope.holders.has(last)) scope.emptied.push([last, live]);
      else drop(last, live);
    }
    const places = new Map(before.map((node, index) => [node, index]));
    const still = steady(after.map((node) => pairs.get(node)), places);
    // From the end, as nodes are put before their next sibling: what a script put behind a node stays with it.
    let nextCopy = null;
    let nextLive = null;
    for (const node of after.reverse()) {
      const last = pairs.get(node);
      if (last) {
        const from = liveOf.get(parentOf(last));
        if (!still.has(last)) insertBefore(copy, last, nextCopy);
        nextCopy = show(last, node, {
          parent: live,
          next: nextLive,
          from: places.has(last) ? live : from,
          isMoved: !still.has(last),
          isReplaced,
          isSame: same.has(node),
          scope,
        });
      } else nextCopy = add(node, copy, nextCopy, live, nextLive, scope);
      const shown = liveOf.get(nextCopy);
      if (shown && within(shown, live)) nextLive = shown;
    }
  }

  /** Show what is in the replica already, in its place and as it is in the new HTML; its replica then. */
  function show(copy, next, { parent, next: nextLive, from, isMoved, isReplaced, isSame: isEqual, scope }) {
    const live = liveOf.get(copy);
    const here = live && from && within(live, from);
    if (here || (live && isConnected(live))) {
      // Elsewhere it was put by a script: there it stays.
      if (here && isMoved) place(from === parent ? here : live, parent, nextLive);
      if (!isEqual) update(copy, next, live, scope);
      return copy;
    }
    // A script has taken it away, and so it stays away until the server changes it.
    if (!isReplaced && (isEqual || isSame(copy, next))) return copy;
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

  /** Add what the replica does not have. */
  function add(next, copy, nextCopy, parent, nextLive, scope) {
    const other = swapped(next, parent);
    if (other) {
      const fresh = insertBefore(copy, replicate(other), nextCopy);
      update(fresh, next, other, scope);
      return fresh;
    }
    const isShallow = scope.first.has(next); // something in it is in the page already
    const fresh = insertBefore(copy, inert.importNode(next, !isShallow), nextCopy);
    // The parsed node itself: a copy of it would take up style attributes that a policy has refused.
    const live = isShallow ? page.importNode(next, false) : next;
    tieAll(fresh, live);
    if (fresh instanceof Element) {
      for (const template of all(fresh, SHADOW)) attach(template, liveOf.get(parentOf(template)));
    }
    place(live, parent, nextLive);
    if (isShallow) patchChildren(fresh, next, live, scope);
    else if (fresh instanceof Element && matches(fresh, SHADOW)) attach(fresh, parent);
    return fresh;
  }

  /** What a script has put there in the place of an element of ours, under the same id. */
  function swapped(next, parent) {
    const id = next instanceof Element && attribute(next, "id");
    if (!id) return null;
    const isIt = (node) =>
      node instanceof Element && !copyOf.has(node) && attribute(node, "id") === id && kindOf(node) === kindOf(next);
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
    if (live instanceof Element && parent !== page.body) {
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
  function dropReplacement(before, live) {
    const isGone = (copy) => {
      const node = liveOf.get(copy);
      return !node || !(within(node, live) || isConnected(node));
    };
    const content = before.filter((node) => !isBlank(node));
    if (!content.length || !content.every(isGone)) return false;
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
    if (!(copy instanceof Element)) {
      copy.data = next.data;
      if (live.data !== next.data) live.data = next.data;
      return;
    }
    const isFreed = isIgnored(copy) && !isIgnored(next);
    if (isIgnored(live) && !isFreed) return;
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

  /** Patch the shadow root that is a template in both, and take these out of the lists. */
  function patchShadow(before, after, live) {
    const index = before.findIndex((node) => liveOf.get(node) instanceof ShadowRoot);
    if (index < 0) return;
    const [copy] = before.splice(index, 1);
    const nextIndex = after.findIndex((node) => node instanceof Element && matches(node, SHADOW));
    if (nextIndex < 0) {
      remove(copy); // a script's own, or else it cannot be undone
      return;
    }
    const [next] = after.splice(nextIndex, 1);
    copyAttributes(copy, next);
    patchTree(copy.content, next.content, liveOf.get(copy));
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
    for (const template of all(copy.content, SHADOW)) attach(template, liveOf.get(parentOf(template)));
  }

  // --- Attributes -------------------------------------------------------------------------------------

  function patchAttributes(copy, next, live) {
    let differs = false;
    for (const attr of attributesOf(next)) {
      const { namespaceURI, localName, value } = attr;
      const last = attributeNS(copy, namespaceURI, localName);
      if (last === value) continue;
      differs = true;
      if (patchSpecial(copy, next, live, attr, last, value)) continue;
      if (attributeNS(live, namespaceURI, localName) !== value) copyAttribute(live, attr);
    }
    for (const attr of attributesOf(copy)) {
      const { namespaceURI, localName, value } = attr;
      if (hasAttributeNS(next, namespaceURI, localName)) continue;
      differs = true;
      if (!patchSpecial(copy, next, live, attr, value, null)) removeAttributeNS(live, namespaceURI, localName);
    }
    if (differs) copyAttributes(copy, next);
  }

  function copyAttributes(copy, next) {
    for (const { namespaceURI, localName } of [...attributesOf(copy)]) removeAttributeNS(copy, namespaceURI, localName);
    for (const attr of attributesOf(next)) copyAttribute(copy, attr);
  }

  /** Attributes that scripts and persons share with the server. Returns whether this is one. */
  function patchSpecial(copy, next, live, { name }, last, value) {
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
