// News in a line above the page: flashes (push_event), waves and cleared boards (broadcast_to_presence). What happens
// within a moment is one line, and it has a place of its own, where it covers nothing.
// And the times of day, which the server writes in UTC, are those of the reader.
(() => {
  "use strict";

  const GATHERED = 600; // milliseconds
  const SHOWN = 6000;
  const NAMED = 3; // more people than that are a number

  const toasts = document.getElementById("toasts");
  const names = new Intl.ListFormat("en");
  let pending = []; // [name, what, color]
  let going;

  function tell(name, what, color) {
    const shown = String(name).replace(/^./u, (letter) => letter.toUpperCase());
    if (pending.push([shown, String(what), color]) === 1) setTimeout(show, GATHERED);
  }

  function sentence(what) {
    const who = [...new Set(pending.filter((one) => one[1] === what).map(([name]) => name))];
    return `${who.length > NAMED ? `${who.length} people` : names.format(who)} ${what}`;
  }

  function show() {
    const toast = document.createElement("p");
    toast.className = "toast";
    toast.textContent = [...new Set(pending.map(([, what]) => what))].map(sentence).join("; ");
    const color = pending.at(-1)[2];
    if (color && CSS.supports("color", color)) toast.style.setProperty("--presence-color", color);
    pending = [];
    toasts.replaceChildren(toast);
    clearTimeout(going);
    going = setTimeout(() => toasts.replaceChildren(), SHOWN);
  }

  window.addEventListener("djust:push_event", ({ detail: { event, payload } }) => {
    if (event === "flash" && !payload.own) tell(payload.name, payload.what, payload.color);
  });

  document.addEventListener("presence:cleared", ({ detail }) =>
    tell(detail.name, "cleared the board", detail.color),
  );

  document.addEventListener("presence:wave", ({ detail }) => {
    tell(detail.name, "waved", detail.color);
    const face = document.querySelector(`#avatar-${CSS.escape(detail.id)} .face`);
    face?.classList.add("waving");
    face?.addEventListener("animationend", () => face.classList.remove("waving"), { once: true });
  });

  function tellTimes() {
    for (const time of document.querySelectorAll("time")) {
      time.textContent = new Date(time.dateTime).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    }
  }

  tellTimes();
  document.addEventListener("presence-client:render", tellTimes);
})();
