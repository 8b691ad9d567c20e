/**
 * The base of all our pages: the document as it is, notices, colours, and live cursors.
 *
 * `document[Symbol.for("djust_presence.parts")]` has the parts that our scripts share, in whatever order they load;
 * tools/scripts.d.ts has their types. A boosted navigation runs this script again, perhaps for another page.
 */
(() => {
  "use strict";

  const PARTS = Symbol.for("djust_presence.parts");
  const PATCH = Symbol.for("djust_presence.patch");
  const CURSORS = Symbol.for("djust_presence.cursors");
  const COLOR = "data-presence-color";
  const PROPERTY = "--presence-color";
  const SCRIPT_RETRY = 5_000; // milliseconds
  const HELP = "See docs/how-to/troubleshoot.md.";

  /** The node's own properties: a form's fields, and images of a document, hide those they are named after. */
  const bare = (node) =>
    new Proxy(node, {
      get(target, name) {
        // A definition by another script stands.
        const own = Object.getOwnPropertyDescriptor(target, name);
        if (typeof name === "symbol" || own?.configurable === false) return target[name];
        const value = Reflect.get(Object.getPrototypeOf(target), name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  const document = bare(window.document);
  const warn = (text) => console.warn(`djust_presence: ${text}`);

  const script = document.currentScript;
  if (!(script instanceof HTMLScriptElement)) return;
  const { advice, cursors: cursorsUrl, socketPrefix } = script.dataset;
  if (advice) warn(advice);

  /** @type {Parts} */
  const parts = (window.document[PARTS] ??= {});
  parts.base ??= make();
  parts.base.cursorsUrl = cursorsUrl ?? parts.base.cursorsUrl;
  if (socketPrefix !== undefined) {
    parts.base.script = script;
    parts.presence?.();
  }
  parts.djust?.();

  function make() {
    const tools = { bare, cursors, document, emit, offer, paint, plainColor, warn, HELP, SCRIPT_RETRY };
    /** @type {Base} */
    const base = { ...tools, cursorsUrl: null, script: null };
    const { nonce } = script; // of the policy that the document goes on to have
    const painted = new Set();
    const { style } = document.createElement("i");

    /** Dispatch on the element, or on the document if the element has left the page. */
    function emit(type, detail = {}, source = window.document) {
      const speaker = bare(source).isConnected ? bare(source) : document;
      speaker.dispatchEvent(new CustomEvent(type, { bubbles: true, detail }));
    }

    /** Return the value as the browser writes it, if it is a colour and nothing else; else "". */
    function plainColor(value) {
      // A value that is valid as a colour and as a width too is a substitution (var(), if(), attr(), inherit).
      if (typeof value !== "string" || CSS.supports("width", value)) return "";
      style.color = "";
      style.color = value;
      return style.color;
    }

    /** Set colours by script: a strict policy refuses style attributes in HTML. */
    function paint(root) {
      for (const element of root.querySelectorAll(`[${COLOR}]`)) painted.add(element);
      for (const element of painted) {
        const plain = bare(element);
        const color = plainColor(plain.getAttribute(COLOR));
        if (!plain.hasAttribute(COLOR) || !plain.isConnected) painted.delete(element);
        if (plain.style.getPropertyValue(PROPERTY) !== color) plain.style.setProperty(PROPERTY, color);
      }
    }

    /** Add to `window.djustPresence`, which other scripts may have made. An element of that id does not count. */
    function offer(name, value) {
      if (!Object.hasOwn(window, "djustPresence")) {
        Object.defineProperty(window, "djustPresence", { value: {}, configurable: true, writable: true });
      }
      window.djustPresence[name] = value;
    }

    /** Live cursors: a script of its own, loaded once the page has a surface. `send(frame)` takes their frames. */
    function cursors(send) {
      let loaded = null;
      let tag = null;
      let live = false;

      function load(again = false) {
        const url = base.cursorsUrl;
        tag = document.createElement("script");
        tag.src = window.document[PATCH]?.scriptURL(url) ?? url;
        tag.nonce = nonce;
        tag.onload = () => {
          tag.remove();
          loaded = window.document[CURSORS]({ send });
          if (live) loaded.online();
        };
        tag.onerror = () => {
          tag.remove();
          if (!again) warn(`${url} cannot be loaded, and without it the page shows no cursors. ${HELP}`);
          setTimeout(load, SCRIPT_RETRY, true);
        };
        document.head.append(tag);
      }

      return {
        rendered() {
          if (loaded) loaded.rendered();
          else if (base.cursorsUrl && !tag && document.querySelector("live-cursors")) load();
        },
        online() {
          live = true;
          loaded?.online();
        },
        offline() {
          if (!live) return;
          live = false;
          loaded?.offline();
        },
        show: (frame) => loaded?.show(frame),
      };
    }

    return base;
  }
})();
