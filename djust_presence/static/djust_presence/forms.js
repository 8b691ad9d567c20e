/** Forms and fields of a live page: events to its view, and fields that keep a person's input. */
(() => {
  "use strict";

  /** @type {Parts} */
  const parts = (window.document[Symbol.for("djust_presence.parts")] ??= {});
  if (parts.forms) return;

  parts.forms = (base, page) => {
    const { bare, document, emit, warn } = base;
    const PATCH = Symbol.for("djust_presence.patch");
    const PENDING = "data-presence-pending";
    const DISABLED = "aria-disabled";
    const IGNORED = '[dj-update="ignore"]';
    const FIELDS = "input:not([type=file]), textarea, select"; // files are never sent, so never settled either
    const TYPING_DEBOUNCE = 300; // milliseconds
    const LARGEST_FRAME = 64 * 1024; // bytes

    // --- Events to the server ---

    let lastRef = 0;
    const inFlight = new Map(); // ref → {name, element, sent}, or of a script's call {settle}
    const held = new Map(); // a form in flight → its submit buttons → their own aria-disabled

    /**
     * Send one event, or refuse it while the socket is down: nothing is queued. `sent` are the fields of a form
     * that is submitted; one submission of a form at a time is in flight.
     */
    function sendEvent(element, handler, params, sent) {
      const { name, args } = parseHandler(handler);
      if (args.length) params._args = args;
      if (!page.isLive() || (sent && held.has(element))) {
        const why = page.isLive() ? "the form's last submit is still on its way" : "there is no connection";
        warn(`${name} was not sent: ${why}.`);
        emit("presence-client:unsent", { name, params }, element);
        return;
      }
      bare(element).setAttribute(PENDING, "");
      if (sent) hold(element);
      transmit(name, params, { name, element, sent });
    }

    /** @returns {Promise<void>} */
    function event(name, params = {}) {
      return new Promise((resolve, reject) => {
        const settle = (error) => {
          if (error) reject(Object.assign(new Error(error.message), { code: error.code }));
          else resolve();
        };
        if (page.isLive()) {
          hurry();
          transmit(name, params, { settle });
        } else settle({ code: "unsent", message: "There is no connection." });
      });
    }

    function transmit(name, params, asked) {
      lastRef += 1;
      const frame = JSON.stringify({ type: "event", ref: lastRef, name, params });
      inFlight.set(lastRef, asked);
      if (new Blob([frame]).size > LARGEST_FRAME) {
        answered(lastRef, { code: "too-large", message: "A page sends at most 64 KB at once." });
      } else page.send(frame);
    }

    function answered(ref, error) {
      const { name, element, sent, settle } = inFlight.get(ref) ?? {};
      inFlight.delete(ref);
      if (element && ![...inFlight.values()].some((other) => other.element === element)) {
        bare(element).removeAttribute(PENDING);
      }
      if (sent) unhold(element);
      if (!error) {
        if (sent) handled.push(sent);
        page.flush();
      }
      if (settle) settle(error);
      if (settle || !error) return;
      warn(`${name ?? "a frame"} was refused (${error.code}): ${error.message}`);
      emit("presence-client:refused", { ref, name, ...error }, element);
    }

    function lost() {
      for (const ref of [...inFlight.keys()]) {
        answered(ref, { code: "lost", message: "The connection was lost before the answer came." });
      }
    }

    /** Hold the buttons by aria-disabled: `disabled` would move the focus to the body. */
    function hold(form) {
      const buttons = fieldsOf(form, (field) => ["submit", "image"].includes(field.type));
      held.set(form, new Map(buttons.map((button) => [button, button.getAttribute(DISABLED)])));
      for (const button of buttons) button.setAttribute(DISABLED, "true");
    }

    function unhold(form) {
      for (const [button, own] of held.get(form)) {
        if (own === null) button.removeAttribute(DISABLED);
        else button.setAttribute(DISABLED, own);
      }
      held.delete(form);
    }

    // --- Attributes of elements ---

    const orNull = (number) => (Number.isNaN(number) ? null : number);

    /** djust's type hints: `data-id:int="3"`. Without one a value is text, which the server coerces. */
    const HINTS = {
      int: (value) => orNull(Number.parseInt(value || "0", 10)),
      float: (value) => orNull(Number.parseFloat(value || "0")),
      bool: (value) => ["true", "1", "yes", "on", "checked"].includes(value.toLowerCase()),
      json(value) {
        try {
          return JSON.parse(value);
        } catch {
          return value; // the server reports the error
        }
      },
      list: (value) =>
        value
          .split(",")
          .map((part) => part.trim())
          .filter(Boolean),
    };
    const { int: integer, float: number, bool: boolean, json } = HINTS;
    Object.assign(HINTS, { integer, number, boolean, object: json, array: json });

    /** The values of the attributes with this prefix: kebab-case names become snake_case. */
    function valuesOf(element, prefix) {
      const values = {};
      for (const { name, value } of bare(element).attributes) {
        if (!name.startsWith(prefix) || /^data-(presence|htmx|hx)-/.test(name)) continue;
        const [key, hint] = name.slice(prefix.length).replace(/^dj-/, "").split(":");
        values[key.replaceAll("-", "_")] = hint && Object.hasOwn(HINTS, hint) ? HINTS[hint](value) : value;
      }
      return values;
    }

    const ESCAPES = { n: "\n", r: "\r", t: "\t" };

    function literal(text) {
      if (/^(['"]).*\1$/s.test(text)) {
        return text.slice(1, -1).replace(/\\(.)/gs, (_, char) => ESCAPES[char] ?? char);
      }
      if (["true", "false", "null"].includes(text)) return JSON.parse(text);
      const number = /^-?(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : NaN;
      // A longer integer would lose digits; as text the server reads it whole.
      return Math.abs(number) <= Number.MAX_SAFE_INTEGER ? number : text;
    }

    /** `rename(3, 'x')` → {name: "rename", args: [3, "x"]} */
    function parseHandler(text) {
      const [, name, list = ""] = /^\s*([^\s(]+)\s*(?:\((.*)\))?\s*$/s.exec(text) ?? [null, text.trim()];
      const args = list.matchAll(/\s*('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^,]*[^,\s])\s*(?:,|$)/gs);
      return { name, args: Array.from(args, ([, arg]) => literal(arg)) };
    }

    const fieldsOf = (form, are) => [...bare(form).elements].filter(are);

    /** The fields of a form, as text. A field that may have several values is a list, even of one. */
    function formValues(form, submitter) {
      const values = {};
      const data = new FormData(form, submitter);
      for (const name of new Set(data.keys())) {
        const texts = data.getAll(name).filter((value) => typeof value === "string");
        // Handlers do not need Django's token: the socket's Origin is checked.
        if (!texts.length || name === "csrfmiddlewaretoken") continue;
        const fields = fieldsOf(form, (field) => field.name === name);
        const several = fields.length > 1 && fields.every((field) => field.type === "checkbox");
        values[name] = texts.length > 1 || several || fields.some(isMultiple) ? texts : texts[0];
      }
      return values;
    }

    const isMultiple = (field) => field.type === "select-multiple";
    const isClicked = (field) => ["checkbox", "radio", "select-one", "select-multiple"].includes(field.type);

    function fieldValue(field) {
      if (field.type === "checkbox") return field.checked;
      return isMultiple(field) ? Array.from(field.selectedOptions, (option) => option.value) : field.value;
    }

    function sendField(field, element, attribute) {
      sendEvent(field, bare(element).getAttribute(attribute), {
        value: fieldValue(field),
        field: field.dataset.field || field.name || field.id.replace(/^id_/, "") || null,
        ...valuesOf(field, "dj-value-"),
        _target: field.name || field.id || null,
      });
    }

    const delayed = new Set(); // calls that wait for their dj-debounce: {source, attribute, timer, run}

    /**
     * Run it when the source has been quiet for the element's `dj-debounce`, or else for `quiet`; with "blur",
     * when it is left. A call without delay runs those that wait first.
     */
    function whenQuiet(element, attribute, source, quiet, run) {
      const said = bare(element).getAttribute("dj-debounce");
      const limit = said === null ? quiet : Number.parseInt(said, 10) || 0;
      for (const other of delayed) {
        if (other.source === source && other.attribute === attribute) drop(other);
      }
      if (said !== "blur" && limit <= 0) {
        hurry();
        run();
        return;
      }
      const one = { source, attribute, run };
      if (said !== "blur") one.timer = setTimeout(() => hurry([one]), limit);
      delayed.add(one);
    }

    function drop(one) {
      clearTimeout(one.timer);
      delayed.delete(one);
    }

    function hurry(some = [...delayed]) {
      for (const one of some) {
        drop(one);
        one.run();
      }
    }

    function onClick(event) {
      const element = event.target instanceof Element && bare(event.target).closest("[dj-click]");
      if (!element || bare(element).matches(":disabled")) return;
      event.preventDefault();
      whenQuiet(element, "dj-click", element, 0, () => {
        const data = valuesOf(element, "data-");
        const params = valuesOf(element, "dj-value-");
        // Other scripts have data attributes too: all are offered, and the handler takes those that it knows.
        if (Object.keys(data).length) params._data = data;
        sendEvent(element, bare(element).getAttribute("dj-click"), params);
      });
    }

    function onSubmit(event) {
      const form = event.target;
      if (!(form instanceof HTMLFormElement && bare(form).hasAttribute("dj-submit"))) return;
      event.preventDefault();
      hurry();
      const { submitter } = event;
      const params = {
        ...formValues(form, submitter),
        ...valuesOf(form, "dj-value-"),
        _target: submitter?.name || submitter?.id || null,
      };
      const fields = fieldsOf(form, (field) => field.matches(FIELDS));
      sendEvent(form, bare(form).getAttribute("dj-submit"), params, rememberFields(fields));
    }

    /**
     * The events of a field by `dj-input` or `dj-change`, its own or those of an ancestor.
     * @param {any} field
     */
    function onField(attribute, field) {
      if (field === composing || field.type === "file") return;
      const element = field instanceof HTMLElement && bare(field).closest(`[${attribute}]`);
      if (!element) return;
      const quiet = attribute === "dj-input" && !isClicked(field) ? TYPING_DEBOUNCE : 0;
      whenQuiet(element, attribute, field, quiet, () => sendField(field, element, attribute));
    }

    /** Send typed input again: the view behind a socket that has just opened does not have it. */
    function inform() {
      for (const [field, { dirty }] of rememberFields(document.querySelectorAll(FIELDS))) {
        if (!dirty || field.matches(":disabled, [type=hidden], [type=radio]:not(:checked)")) continue;
        for (const attribute of ["dj-input", "dj-change"]) {
          const element = field.closest(`[${attribute}]`);
          if (element) sendField(field, element, attribute);
        }
      }
    }

    // --- Fields that keep a person's input ---

    const handled = []; // the fields of each form that was handled, as they were sent
    let composing = null; // the element under an IME composition

    /** Show new content of an element, by `patch(options)`, and keep a person's input. */
    function keepAround(target, patch) {
      const focus = rememberFocus();
      const region = bare(target);
      const own = region.matches(FIELDS) ? [target] : [];
      const fields = rememberFields([...own, ...region.querySelectorAll(FIELDS)]);
      const result = patch({ leave: composing, set: setHeld });
      settleFields(region, fields);
      restoreFocus(focus);
      return result;
    }

    /** The server's aria-disabled of a held button waits for the answer. */
    function setHeld(element, name, value) {
      const buttons = name === DISABLED ? held.get(element.form) : null;
      if (!buttons?.has(element)) return false;
      buttons.set(element, value);
      return true;
    }

    /** A field that a person changed is dirty, and keeps its content as long as it remains the same field. */
    const isKept = (field, { dirty, name }) =>
      dirty && field.name === name && !field.hasAttribute("dj-force-value");

    function rememberFields(elements) {
      const fields = new Map();
      for (const field of elements) {
        if (field === composing || field.closest(IGNORED)) continue;
        const { name, type, value, checked } = field;
        if (field.options) {
          const selected = [...field.selectedOptions];
          const initial = initialOptions(field);
          const dirty = selected.length !== initial.length || selected.some((option) => !initial.includes(option));
          fields.set(field, { name, dirty, selected: selected.map(({ value }) => value), chosen: selected });
        } else if (type === "checkbox" || type === "radio") {
          fields.set(field, { name, dirty: checked !== field.defaultChecked, checked });
        } else {
          fields.set(field, { name, dirty: value !== initialValue(field), value });
        }
      }
      return fields;
    }

    function settleFields(region, fields) {
      const kept = [];
      for (const [field, was] of fields) {
        if (!region.contains(field)) continue;
        const keep = isKept(field, was);
        if (keep && field.type === "radio") kept.push([field, was]);
        else settle(field, was, keep);
      }
      // Last, as every checked radio button unchecks the others of its group.
      for (const [radio, was] of kept) settle(radio, was, true);
    }

    function settle(field, { selected, chosen, checked }, keep) {
      if (selected) settleSelect(field, keep && selected, chosen);
      else if (checked !== undefined) field.checked = keep ? checked : field.defaultChecked;
      else if (!keep) {
        const initial = initialValue(field);
        if (field.value !== initial) field.value = initial;
      }
    }

    /** Fields of a handled form take the server's content if they still hold what was sent. */
    function release(sent) {
      const content = (/** @type {any} */ { selected, checked, value } = {}) =>
        JSON.stringify([selected, checked, value]);
      const choice = (field) => (field.type === "radio" ? field.name : field); // radio buttons are one
      const now = rememberFields(sent.keys());
      const changed = new Set();
      for (const [field, was] of sent) if (content(now.get(field)) !== content(was)) changed.add(choice(field));
      for (const [field, was] of sent) if (!changed.has(choice(field))) settle(field, was, false);
    }

    /** Choose the options that were `chosen`, with these values, or else others of the same value. */
    function settleSelect(select, selected, chosen) {
      const options = [...select.options];
      const isStill = (option, index) => options.includes(option) && option.value === selected[index];
      const remaining =
        selected && (chosen.every(isStill) ? chosen : options.filter((option) => selected.includes(option.value)));
      const wanted =
        remaining && remaining.length >= Math.min(selected.length, 1) ? remaining : initialOptions(select);
      if (options.every((option) => option.selected === wanted.includes(option))) return;
      for (const option of options) option.selected = wanted.includes(option);
    }

    /** The value that the field has without input: browsers normalise that of a range, a colour, a date. */
    function initialValue(field) {
      // The value of a hidden field is its attribute, which a script may have set.
      if (field.type === "hidden")
        return window.document[PATCH]?.served(field)?.getAttribute("value") ?? field.value;
      if (field.value === field.defaultValue) return field.value;
      const form = document.createElement("form");
      const copy = form.appendChild(field.cloneNode(true));
      copy.removeAttribute("form"); // with it, Firefox takes the copy for a part of no form
      form.reset();
      return copy.value;
    }

    function initialOptions(select) {
      const options = [...select.options];
      const marked = options.filter((option) => option.defaultSelected);
      if (select.multiple) return marked;
      if (marked.length) return marked.slice(-1);
      if (select.size > 1) return [];
      return options.filter((option) => !option.disabled && !option.parentNode.disabled).slice(0, 1);
    }

    function rememberFocus() {
      const element = /** @type {any} */ (document.activeElement);
      const { selectionStart, selectionEnd, selectionDirection } = element ?? {};
      return { element, selectionStart, selectionEnd, selectionDirection };
    }

    function restoreFocus({ element, selectionStart, selectionEnd, selectionDirection }) {
      if (!element?.isConnected || element === composing) return;
      if ((document.activeElement ?? document.body) === document.body) element.focus({ preventScroll: true });
      // Fields that have no caret say null, other elements nothing at all.
      if (selectionStart == null || element.selectionStart == null) return;
      if (element.selectionStart !== selectionStart || element.selectionEnd !== selectionEnd) {
        element.setSelectionRange(selectionStart, selectionEnd, selectionDirection);
      }
    }

    // --- A person's actions ---

    document.addEventListener("click", onClick);
    document.addEventListener("submit", onSubmit);
    document.addEventListener("input", ({ target }) => onField("dj-input", target));
    document.addEventListener("change", ({ target }) => onField("dj-change", target));
    document.addEventListener("focusout", ({ target }) => {
      hurry([...delayed].filter(({ source, timer }) => source === target && !timer));
      setTimeout(page.catchUp); // after the focus has moved
    });
    document.addEventListener("compositionstart", ({ target }) => (composing = target), true);
    document.addEventListener(
      "compositionend",
      ({ target }) => {
        composing = null;
        // After the input event that ends it, which not every browser sends.
        setTimeout(() => {
          onField("dj-input", target);
          page.flush();
        });
      },
      true,
    );

    return {
      answered,
      event,
      hurry,
      inform,
      keepAround,
      lost,
      shown: () => handled.splice(0).forEach(release),
      forget: () => (handled.length = 0),
    };
  };

  parts.presence?.();
})();
