// Menus: a button that opens a box below itself. Escape and a click elsewhere close it, and the button has the focus again.
"use strict";

usbench.menu = (label, fill, options = {}) => {
  const { h } = usbench;
  const box = h("div", { class: `box ${options.class || ""}`, hidden: true });
  const button = h("button", { type: "button", "aria-expanded": "false", "data-tip": options.tip || null }, label);
  const menu = h("div", { class: "menu" }, button, box);

  function set(open) {
    if (open) box.replaceChildren(...[fill()].flat());
    box.hidden = !open;
    box.classList.remove("left");
    if (open && box.getBoundingClientRect().left < 8) box.classList.add("left");
    button.setAttribute("aria-expanded", open);
  }

  button.addEventListener("click", () => set(box.hidden));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || box.hidden) return;
    set(false);
    button.focus();
  });
  menu.addEventListener("focusout", (event) => { if (event.relatedTarget && !menu.contains(event.relatedTarget)) set(false); });
  document.addEventListener("pointerdown", (event) => { if (!menu.contains(event.target)) set(false); });
  return menu;
};

// How to cite what is shown, and how to add a result; task: of the view, or null.
usbench.pageMenus = (data, findTask) => {
  const { h, copyable, menu } = usbench;

  function cite() {
    const task = findTask();
    const parts = [h("p", {}, h("strong", {}, "usbench")), copyable(data.bibtex.trim(), "the BibTeX of usbench")];
    if (task?.bibtex) {
      parts.push(h("p", {}, h("strong", {}, task.title)), copyable(task.bibtex.trim(), "the BibTeX of the dataset"));
    }
    if (task) parts.push(h("p", { class: "muted small" }, `Licence: ${task.licence || "not stated"}.`));
    return [...parts, h("p", { class: "muted small" }, "For models and several datasets: ", h("code", {}, "usbench bibtex"))];
  }

  function add() {
    const task = findTask();
    const parts = [];
    if (task) {
      parts.push(h("p", {}, `A model of usbench on ${task.name}:`), copyable(task.run, "the command that runs a model"));
      parts.push(h("p", {}, "Your own predictions, scored and ranked here:"), copyable(task.score, "the command that scores predictions"));
    }
    parts.push(h("p", {}, "Your own images and masks:"));
    parts.push(copyable("usbench check --dataset folder --images 'DIR/{id}.png' --labels 'DIR/{id}_mask.png' --classes lesion", "the command for your own images"));
    parts.push(h("p", {}, "Then write this page again:"), copyable("usbench leaderboard", "the command that writes the page"));
    return parts;
  }

  return [menu("Cite", cite, { class: "wide" }), menu("Add yours", add, { class: "wide" })];
};
