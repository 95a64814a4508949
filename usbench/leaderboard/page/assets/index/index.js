// The page: its views, which are built when first shown, and what all of them share.
"use strict";

(() => {
  const { h, state } = usbench;
  const data = JSON.parse(document.getElementById("data").textContent);
  const BUILDERS = { results: usbench.results.build, compare: usbench.compare.build, datasets: usbench.catalogue.build };
  const updates = {};

  function show(now) {
    for (const link of document.querySelectorAll(".tabs a")) {
      if (link.dataset.view === now.view) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== `view-${now.view}`;
    usbench.tips.hide();
  }

  // Draw the view of a state. A link to a table brings it into sight.
  function draw(now, before) {
    show(now);
    const build = BUILDERS[now.view];
    if (build) (updates[now.view] ||= build(document.getElementById(`${now.view}-body`), data))(now, before);
    const isMove = before && (now.view !== before.view || now.where !== before.where);
    if (isMove && now.view === "method" && now.where) document.getElementById(`method-${now.where}`)?.scrollIntoView();
    else if (isMove && now.view === "results" && now.where && before.view === "results") document.getElementById("results-body").scrollIntoView();
    else if (isMove && now.view !== before.view) scrollTo(0, 0);
    markCards(now);
  }

  function markCards(now) {
    const task = data.tasks.length ? usbench.rows.findTask(data, now.where) : null;
    for (const link of document.querySelectorAll(".finding a")) {
      if (now.view === "results" && task && link.getAttribute("href") === `#results/${task.id}`) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  // ---- find a model or dataset

  function targets() {
    const found = new Map();
    for (const task of data.tasks) {
      found.set(`${task.name} · ${task.task}`, () => state.go("results", task.id));
      found.set(`${task.dataset}/${task.task}`, () => state.go("results", task.id));
    }
    for (const task of data.tasks) {
      for (const row of task.tables[0]?.rows.slice(0, 50) || []) {
        const name = `${row.name} on ${task.name} · ${task.task}`;
        if (!found.has(name) && found.size < 1000) found.set(name, () => state.go("results", task.id, { q: row.name }));
      }
    }
    return found;
  }

  function finder() {
    const input = document.getElementById("find");
    let found = null;
    input.addEventListener("focus", () => {
      if (found) return;
      found = targets();
      document.getElementById("found").append(...[...found.keys()].map((value) => h("option", { value })));
    });
    function go(exact) {
      const typed = input.value.trim().toLowerCase();
      const name = typed && [...found.keys()].find((key) => (exact ? key.toLowerCase() === typed : key.toLowerCase().includes(typed)));
      if (!name) {
        if (!exact && typed) usbench.say(`Nothing is called ${input.value}`);
        return;
      }
      input.value = "";
      found.get(name)();
      usbench.say(name);
    }
    input.addEventListener("input", () => go(true)); // a suggestion was chosen
    input.form.addEventListener("submit", (event) => { event.preventDefault(); go(false); });
  }

  // ---- paper shows what is folded on the screen

  function printing() {
    let opened = [];
    addEventListener("beforeprint", () => {
      opened = [...document.querySelectorAll("details:not([open])")];
      for (const details of opened) details.open = true;
    });
    addEventListener("afterprint", () => { for (const details of opened) details.open = false; });
  }

  const findTask = () => (data.tasks.length && ["results", "compare"].includes(state.current.view) ? usbench.rows.findTask(data, state.current.where) : null);
  document.getElementById("menus").append(...usbench.pageMenus(data, findTask));
  usbench.tips.start();
  state.listen(draw);
  finder();
  printing();
  state.start();
})();
