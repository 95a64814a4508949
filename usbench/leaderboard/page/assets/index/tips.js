// What a heading or mark means: elements with data-tip show it while they have the focus or the
// pointer; Escape hides it.
"use strict";

usbench.tips = (() => {
  let target = null;

  function place(tip) {
    const box = target.getBoundingClientRect();
    const left = Math.min(Math.max(8, box.left), innerWidth - tip.offsetWidth - 8);
    const below = box.bottom + tip.offsetHeight + 12 < innerHeight;
    tip.style.left = `${left}px`;
    tip.style.top = `${below ? box.bottom + 6 : Math.max(8, box.top - tip.offsetHeight - 6)}px`;
  }

  function show(element) {
    const tip = document.getElementById("tip");
    hide();
    target = element;
    tip.textContent = element.dataset.tip;
    tip.hidden = false;
    element.setAttribute("aria-describedby", "tip");
    (element.closest("dialog") || document.body).append(tip);
    place(tip);
  }

  function hide() {
    document.getElementById("tip").hidden = true;
    target?.removeAttribute("aria-describedby");
    target = null;
  }

  function start() {
    const tipped = (event) => event.target.closest?.("[data-tip]");
    for (const kind of ["focusin", "pointerover"]) {
      document.addEventListener(kind, (event) => {
        const element = tipped(event);
        if (element && element.dataset.tip) show(element);
        else if (kind === "focusin" || !target?.matches(":focus")) hide();
      });
    }
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") hide();
    });
    // The focus may scroll a table to a heading: its tip goes along.
    addEventListener(
      "scroll",
      () => {
        if (target) place(document.getElementById("tip"));
      },
      { passive: true, capture: true },
    );
  }

  // A small button that does nothing but show its tip.
  const help = (tip, label) =>
    usbench.h(
      "button",
      { type: "button", class: "help", "data-tip": tip, "aria-label": label },
      "?",
    );

  // A heading that isn't sorted by, as a button for its tip alone.
  const term = (text, tip) =>
    usbench.h("button", { type: "button", class: "sort", "data-tip": tip }, text);

  return { start, hide, help, term };
})();
