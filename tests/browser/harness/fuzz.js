/**
 * Patches a region with one page after the other, out of `pages` families that a seed makes up, while a script
 * does `acts` random things to it before each patch. The first of a family is what a browser makes of it when it
 * loads a page. Returns how often it patched, and what came out wrong: without acts, the region has to be the new
 * HTML; its replica has to be in any case; and nothing may throw, but for what no DOM allows (`refused` counts it):
 * a script has put an element into its own descendant, as the server is about to see it.
 */
window.fuzz = (seed, pages, acts) => {
  const patcher = document[Symbol.for("djust_presence.patch")];
  const region = document.querySelector("live-region");
  const [wrong, errors] = [[], []];
  let [patches, refused] = [0, 0];
  const heard = new AbortController();
  const onError = (event) => {
    event.preventDefault();
    if (/HierarchyRequestError|contains the parent/.test(event.message)) refused += 1;
    else errors.push(event.message);
  };
  window.addEventListener("error", onError, heard);

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
    () => `<math><mi>${pick("x", "y")}</mi>${pick("", "<mo>+</mo><mn>1</mn>")}</math>`,
    () => `<textarea name="${pick("n", "m")}">${pick("", "one", "two")}</textarea>`,
    () =>
      `<select name="${pick("n", "m")}">${options()}${pick("", `<optgroup label="g">${options()}</optgroup>`)}</select>`,
    (depth, used) => `<table><tbody><tr${attributes(used)}><td>${html(depth - 2, used)}</td></tr></tbody></table>`,
    (depth, used) =>
      `<x-card${attributes(used)}><template shadowrootmode="open">${html(depth - 2, new Set())}</template>` +
      `${html(depth - 2, used)}</x-card>`,
    () => `<form><input name="${pick("id", "attributes", "childNodes", "parentNode", "nextSibling")}"></form>`,
    ...Array(8).fill((depth, used) => {
      const tag = pick("div", "ul", "section", "b", "x-custom");
      return `<${tag}${attributes(used)}>${html(depth - 1, used)}</${tag}>`;
    }),
  ];
  const options = () =>
    Array.from({ length: Math.floor(random() * 3) }, () => {
      const value = pick("x", "y");
      return `<option value="${value}"${pick("", ` selected=""`)}>${value}</option>`;
    }).join("");
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
    const elements = [...region.querySelectorAll(":not(form, svg, svg *, math, math *)")];
    const [one, other] = [pick(...elements), pick(...elements)];
    if (one && !one.contains(other)) pick(...ACTS)(one, other);
  }

  /** Without the order of attributes and styles, and what is said of roots that templates hold, where nothing runs. */
  function normal(text) {
    const template = document.createElement("template");
    template.innerHTML = text;
    (function sort(tree) {
      for (const element of /** @type {any} */ (tree.querySelectorAll("*"))) {
        if (element.localName === "form") continue;
        if (element.hasAttribute("style"))
          element.style.cssText = element.style.cssText
            .split(/(?<=;) /)
            .sort()
            .join(" ");
        element.removeAttribute("shadowrootcustomelementregistry");
        if (element.content) sort(element.content);
        const all = [...element.attributes].sort((one, other) => (one.name < other.name ? -1 : 1));
        for (const attribute of all) element.removeAttributeNode(attribute);
        for (const attribute of all) element.setAttributeNode(attribute);
      }
    })(template.content);
    return template.innerHTML;
  }

  /** What is in the page, with its shadow roots as they came. */
  function inside(element) {
    const shadowRoots = [];
    (function look(tree) {
      for (const { content, shadowRoot } of tree.querySelectorAll("template, x-card")) {
        if (shadowRoot) shadowRoots.push(shadowRoot);
        if (content ?? shadowRoot) look(content ?? shadowRoot);
      }
    })(element);
    return element.getHTML({ shadowRoots });
  }

  for (let page = 0; page < pages; page += 1) {
    region.setHTMLUnsafe(html());
    if (acts && chance(0.5)) act();
    patcher.copyPage();
    for (let turn = 0; turn < 6; turn += 1) {
      for (let count = 0; count < acts; count += 1) act();
      const next = html();
      patcher.patch(region, next);
      patches += 1;
      const [expected, shown, kept] = [next, inside(region), patcher.served(region).innerHTML].map(normal);
      if (kept !== expected || (!acts && shown !== expected)) wrong.push([next, shown, kept]);
    }
    for (const element of document.querySelectorAll("body > :not(live-region, script)")) element.remove();
  }
  heard.abort();
  return { patches, refused, wrong: wrong.slice(0, 3), errors: errors.slice(0, 3) };
};
