// Menus: a button that opens a box below itself. Escape and a click elsewhere close it, and the
// button has the focus again.
"use strict";

usbench.menu = (label, fill, wide = false) => {
  const { h } = usbench;
  const box = h("div", { class: wide ? "box wide" : "box", hidden: true });
  const button = usbench.button(label, () => set(box.hidden), { "aria-expanded": "false" });
  const menu = h("div", { class: "menu" }, button, box);

  function set(open) {
    if (open) box.replaceChildren(...fill());
    box.hidden = !open;
    box.classList.remove("left");
    if (open && box.getBoundingClientRect().left < 8) box.classList.add("left");
    button.setAttribute("aria-expanded", open);
  }

  menu.close = () => {
    set(false);
    button.focus();
  };
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !box.hidden) menu.close();
  });
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget)) set(false);
  });
  document.addEventListener("pointerdown", (event) => {
    if (!menu.contains(event.target)) set(false);
  });
  return menu;
};

// How to cite what is shown, and how to add a result; findTask: gives the task of the view, or
// null.
usbench.pageMenus = (data, findTask) => {
  const { h, copyable, menu, small } = usbench;
  const OWN =
    "usbench check --dataset folder --images 'DIR/{id}.png' " +
    "--labels 'DIR/{id}_mask.png' --classes lesion";
  const strong = (text) => h("p", {}, h("strong", {}, text));

  function cite() {
    const task = findTask();
    const parts = [strong("usbench"), copyable(data.bibtex.trim(), "the BibTeX of usbench")];
    if (task?.bibtex)
      parts.push(strong(task.title), copyable(task.bibtex.trim(), "the BibTeX of the dataset"));
    if (task) parts.push(small(`Licence: ${task.licence || "not stated"}.`));
    return [...parts, small("For models and several datasets: ", h("code", {}, "usbench bibtex"))];
  }

  function add() {
    const task = findTask();
    const commands = {
      "Your own images and masks:": OWN,
      "Then write this page again:": "usbench leaderboard",
    };
    const ofTask = {
      [`A model of usbench on ${task?.name}:`]: task?.run,
      "Your own predictions, scored and ranked here:": task?.score,
    };
    return Object.entries(task ? { ...ofTask, ...commands } : commands).flatMap(
      ([text, command]) => [h("p", {}, text), copyable(command, "the command")],
    );
  }

  return [menu("Cite", cite, true), menu("Add yours", add, true)];
};
