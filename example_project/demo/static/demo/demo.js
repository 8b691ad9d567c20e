// Shows what the views of the demo say: flashes (push_event), waves and cleared boards (broadcast_to_presence), as short
// messages in a corner.
// And the times of day, which the server writes in UTC, are those of the reader.
(() => {
  "use strict";

  const SHOWN = 4000;
  const AT_MOST = 4;

  function toast(message, color) {
    const toasts = document.getElementById("toasts");
    const one = document.createElement("p");
    one.className = "toast";
    one.append(document.createElement("span"));
    one.firstChild.textContent = message;
    if (color && CSS.supports("color", color)) one.style.setProperty("--presence-color", color);
    toasts.append(one);
    while (toasts.children.length > AT_MOST) toasts.firstElementChild.remove();
    setTimeout(() => {
      one.classList.add("going");
      setTimeout(() => one.remove(), 300);
    }, SHOWN);
  }

  window.addEventListener("djust:push_event", ({ detail: { event, payload } }) => {
    if (event === "flash") toast(String(payload.message), payload.color);
  });

  function tellTimes() {
    for (const time of document.querySelectorAll("time")) {
      time.textContent = new Date(time.dateTime).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    }
  }

  tellTimes();
  document.addEventListener("presence-client:render", tellTimes);

  document.addEventListener("presence:cleared", ({ detail }) => toast(`${detail.name} cleared the board`, detail.color));

  document.addEventListener("presence:wave", ({ detail }) => {
    toast(`${detail.name} waves`, detail.color);
    const avatar = document.getElementById(`avatar-${detail.id}`);
    avatar?.classList.add("waving");
    avatar?.addEventListener("animationend", () => avatar.classList.remove("waving"), { once: true });
  });
})();
