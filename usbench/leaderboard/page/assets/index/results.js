// The view Results below its findings: choose dataset and protocol, then one table with its
// caveats.
"use strict";

usbench.results = (() => {
  const { h, state, rows, table: board } = usbench;

  function build(root, data) {
    if (!data.tasks.length) {
      root.append(
        h("p", {}, "No results yet. ", h("code", {}, "usbench leaderboard"), " writes them here."),
      );
      return () => {};
    }
    const parts = { task: null, head: h("div"), tools: h("div", { class: "tools" }) };
    Object.assign(parts, { caveats: h("div"), body: h("div"), below: h("div") });
    root.append(parts.head, parts.tools, parts.caveats, parts.body, parts.below);
    return (now) => draw(data, parts, now);
  }

  function draw(data, parts, { where, params }) {
    const task = rows.findTask(data, where);
    const table = rows.findTable(task, params);
    if (parts.task !== task) drawHead(data, parts, task);
    if (!table) {
      parts.body.replaceChildren(h("p", {}, "No finished result yet."));
      parts.below.replaceChildren(...usbench.below.failed(task));
      return;
    }
    parts.controls.update(table, params);
    if (onlyTicks(parts, table, params)) return;
    const key = focusedKey();
    const open = (row) => usbench.openRow(data, task, table, row);
    parts.body.replaceChildren(board.build(data, task, table, params, open));
    if (key) parts.body.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
    parts.below.replaceChildren(...usbench.below.build(data, task, table));
    parts.drawn = signature(table, params);
  }

  // Controls are drawn anew only with another dataset, so that none loses the focus.
  function drawHead(data, parts, task) {
    parts.task = task;
    parts.head.replaceChildren(title(data, task));
    parts.controls = usbench.controls(data, task);
    parts.tools.replaceChildren(...parts.controls.elements);
    parts.caveats.replaceChildren(...[caveats(task), runIt(task)].filter(Boolean));
  }

  const signature = (table, params) =>
    JSON.stringify([table.id, table.label, { ...params, rows: null }]);

  // Whether the table stands already and only its ticks changed, which it shows itself.
  function onlyTicks(parts, table, params) {
    if (parts.drawn !== signature(table, params) || !parts.body.firstChild) return false;
    const ids = new Set((params.rows || "").split(","));
    for (const box of parts.body.querySelectorAll("input[data-row]")) {
      box.checked = ids.has(box.dataset.row);
    }
    return true;
  }

  const focusedKey = () =>
    document.activeElement?.closest?.(".board") && document.activeElement.dataset.key;

  // ---- above the table

  const isOurs = (task) =>
    task.tables.some((table) => table.rows.some((row) => row.origin !== "published"));

  function groups(data) {
    const option = (task) => usbench.option(task.id, `${task.name} · ${task.task}`);
    const named = { "With results of ours": data.tasks.filter(isOurs) };
    named["Published scores only"] = data.tasks.filter((task) => !isOurs(task));
    return Object.entries(named)
      .filter(([, tasks]) => tasks.length)
      .map(([label, tasks]) => h("optgroup", { label }, tasks.map(option)));
  }

  function title(data, task) {
    const select = usbench.select("task", groups(data), task.id, (id) => state.go("results", id));
    return h(
      "div",
      { class: "title" },
      h("h2", { id: "table-title" }, task.name, " ", h("span", { class: "task" }, task.task)),
      h("label", { for: "task" }, "Dataset"),
      select,
      usbench.small(
        task.title === task.name ? null : `${task.title} · `,
        h("code", {}, task.dataset),
        task.licence ? ` · ${task.licence}` : null,
        task.links.map(({ href, label }) => [" · ", usbench.link(href, label)]).flat(),
      ),
    );
  }

  // What gives a first result of ours, where there is none.
  function runIt(task) {
    if (isOurs(task)) return null;
    const command = usbench.copyable(task.run, "the command that gives a first result");
    return h("div", { class: "run-it" }, h("span", {}, "Run it here:"), command);
  }

  // One line, the worst first; the rest behind it.
  function caveats(task) {
    const [worst, ...others] = task.caveats;
    const notes = task.notes.map((note) =>
      [h("strong", {}, `${note.title}: `), usbench.linked(note.text)].flat(),
    );
    const rest = [...others.map((text) => [text]), ...notes].map((parts) => h("li", {}, parts));
    const first = worst || (notes.length ? "what to know of the data" : "");
    if (!first) return h("div");
    const text = first.charAt(0).toUpperCase() + first.slice(1);
    const line = h("span", { class: worst ? "worst" : "" }, text);
    if (!rest.length) return h("p", { class: "caveats" }, line);
    const more = h("span", { class: "muted" }, ` and ${rest.length} more`);
    return h("details", { class: "caveats" }, h("summary", {}, line, more), h("ul", {}, rest));
  }

  return { build };
})();
