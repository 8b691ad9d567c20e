/**
 * Patches a region with one page after the other, out of `pages` families that a seed makes up, while a script
 * does `acts` random things to it before each patch. Returns what came out wrong: without acts, the region has to
 * be the new HTML; its replica has to be in any case; and nothing may throw.
 */
window.fuzz = (seed, pages, acts) => {
  const patcher = document[Symbol.for("djust_presence.patch")];
  const region = document.querySelector("live-region");
  const [wrong, errors] = [[], []];
  window.addEventListener("error", (event) => {
    event.preventDefault();
    if (!/HierarchyRequestError|contains the parent/.test(event.message)) errors.push(event.message);
  });

  // mulberry32
  const random = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const pick = (...choices) => choices[Math.floor(random() * choices.length)];
  const chance = (probability) => random() < probability;

  function attributes(used) {
    const id = pick("a", "b", "c", "d", "e", "f", "g");
    const all = [];
    if (chance(0.3) && (!used.has(id) || chance(0.1))) all.push(`id="${id}"`);
    if (all.length) used.add(id);
    if (chance(0.3)) all.push(`class="${pick("p", "q", "p q", "")}"`);
    if (chance(0.15)) all.push(`style="${pick("color: red", "margin: 1px; color: red", "--v: 2")}"`);
    if (chance(0.1)) all.push(`@click="${pick("x", "y")}"`);
    return all.map((one) => ` ${one}`).join("");
  }

  const KINDS = [
    () => pick("one", "two", "three", " ", "\n"),
    () => pick("one", " "),
    () => `<!--${pick("x", "y")}-->`,
    () => `<input name="${pick("n", "m", "o")}" value="${pick("x", "y")}">`,
    (depth) => `<template>${html(depth - 1, new Set())}</template>`,
    () => `<svg><path d="${pick("M0 0", "M1 1")}" xlink:href="#${pick("a", "b")}"></path></svg>`,
    () => `<form><input name="${pick("id", "attributes", "childNodes", "parentNode", "nextSibling")}"></form>`,
    ...Array(8).fill((depth, used) => {
      const tag = pick("div", "ul", "section", "b", "x-custom");
      return `<${tag}${attributes(used)}>${html(depth - 1, used)}</${tag}>`;
    }),
  ];
  function html(depth = 3, used = new Set()) {
    if (depth < 0) return "";
    return Array.from({ length: Math.floor(random() * 5) }, () => pick(...KINDS)(depth, used)).join("");
  }

  const ACTS = [
    (one) => one.remove(),
    (one) => one.append("text"),
    (one) => one.after(document.createElement("mine")),
    (one) => (one.textContent = "mine"),
    (one) => one.setAttribute("class", "mine"),
    (one) => document.body.append(one),
    (one, other) => other.append(one),
    (one) => {
      const box = document.createElement("box");
      one.replaceWith(box);
      box.append(one);
    },
  ];
  function act() {
    const elements = [...region.querySelectorAll(":not(form, svg, path)")];
    const [one, other] = [pick(...elements), pick(...elements)];
    if (one && !one.contains(other)) pick(...ACTS)(one, other);
  }

  /** Without the order of attributes, and styles as the browser writes them. */
  function normal(text) {
    const template = document.createElement("template");
    template.innerHTML = text;
    (function sort(tree) {
      for (const element of /** @type {any} */ (tree.querySelectorAll("*"))) {
        if (element.localName === "form") continue;
        // biome-ignore lint/correctness/noSelfAssign: it is written as the browser writes it
        if (element.hasAttribute("style")) element.style.cssText = element.style.cssText;
        if (element.content) sort(element.content);
        const all = [...element.attributes].sort((one, other) => (one.name < other.name ? -1 : 1));
        for (const attribute of all) element.removeAttributeNode(attribute);
        for (const attribute of all) element.setAttributeNode(attribute);
      }
    })(template.content);
    return template.innerHTML;
  }

  for (let page = 0; page < pages; page += 1) {
    region.innerHTML = html();
    patcher.copyPage();
    for (let turn = 0; turn < 6; turn += 1) {
      for (let count = 0; count < acts; count += 1) act();
      const next = html();
      patcher.patch(region, next);
      const [expected, shown, kept] = [next, region.innerHTML, patcher.served(region).innerHTML].map(normal);
      if (kept !== expected || (!acts && shown !== expected)) wrong.push([next, shown, kept]);
    }
    for (const element of document.querySelectorAll("body > :not(live-region, script)")) element.remove();
  }
  return { wrong: wrong.slice(0, 3), errors: errors.slice(0, 3) };
};
