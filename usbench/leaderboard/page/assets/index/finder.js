// The search field in the header: finds a dataset, or a model on one, and goes there.
"use strict";

usbench.startFinder = (data) => {
  const { h, state } = usbench;
  const MOST = 1000; // suggestions
  const MODELS = 50; // of each dataset and task
  const input = document.getElementById("find");
  let targets = null;

  // Name → [dataset/task, params]
  function collect() {
    const found = new Map();
    for (const task of data.tasks) {
      found.set(`${task.name} · ${task.task}`, [task.id, {}]);
      found.set(task.id, [task.id, {}]);
    }
    for (const task of data.tasks) {
      for (const { name } of task.tables[0]?.rows.slice(0, MODELS) || []) {
        if (found.size < MOST)
          found.set(`${name} on ${task.name} · ${task.task}`, [task.id, { q: name }]);
      }
    }
    return found;
  }

  function go(fits) {
    const typed = input.value.trim().toLowerCase();
    const name = typed && [...targets.keys()].find((key) => fits(key.toLowerCase(), typed));
    if (!name) return false;
    input.value = "";
    state.go("results", ...targets.get(name));
    usbench.say(name);
    return true;
  }

  input.addEventListener("focus", () => {
    if (targets) return;
    targets = collect();
    const options = [...targets.keys()].map((value) => h("option", { value }));
    document.getElementById("found").append(...options);
  });
  input.addEventListener("input", () => go((key, typed) => key === typed));
  input.form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!go((key, typed) => key.includes(typed))) usbench.say(`Nothing is called ${input.value}`);
  });
};
