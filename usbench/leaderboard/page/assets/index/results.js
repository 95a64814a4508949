// The view Results below its findings: choose dataset and protocol, then one table with its caveats.
"use strict";

usbench.results = (() => {
  const { h, state, rows, table: board } = usbench;
  const KEPT = ["protocol", "sort", "cols", "rows", "q", "clean", "all"]; // params that a change of dataset removes

  function build(root, data) {
    if (!data.tasks.length) {
      root.append(h("p", {}, "No results yet. ", h("code", {}, "usbench leaderboard"), " writes them here."));
      return () => {};
    }
    const parts = { task: null, head: h("div"), tools: h("div", { class: "tools" }), caveats: h("div"), body: h("div"), below: h("div") };
    root.append(parts.head, parts.tools, parts.caveats, parts.body, parts.below);
    return (now, before) => draw(data, parts, now, before);
  }

  // Controls are drawn anew only with another dataset, so that none loses the focus.
  function draw(data, parts, { where, params }) {
    const task = rows.findTask(data, where);
    const table = rows.findTable(task, params);
    if (parts.task !== task) {
      parts.task = task;
      parts.head.replaceChildren(title(data, task));
      parts.controls = controls(data, task);
      parts.tools.replaceChildren(...parts.controls.elements);
      parts.caveats.replaceChildren(...[caveats(task), runIt(task)].filter(Boolean));
    }
    if (!table) {
      parts.body.replaceChildren(h("p", {}, "No finished result yet."));
      parts.below.replaceChildren(failed(task) || "");
      return;
    }
    parts.controls.update(table, params);
    if (onlyTicks(parts, table, params)) return;
    const key = focusedKey();
    parts.body.replaceChildren(board.build(data, task, table, params, (row) => usbench.openRow(data, task, table, row)));
    if (key) parts.body.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
    parts.below.replaceChildren(...below(data, task, table));
    parts.drawn = signature(table, params);
  }

  const signature = (table, params) => JSON.stringify([table.id, table.label, { ...params, rows: null }]);

  // Whether the table stands already and only its ticks changed, which it shows itself.
  function onlyTicks(parts, table, params) {
    if (parts.drawn !== signature(table, params) || !parts.body.firstChild) return false;
    const ids = new Set((params.rows || "").split(","));
    for (const box of parts.body.querySelectorAll("input[data-row]")) box.checked = ids.has(box.dataset.row);
    return true;
  }

  const focusedKey = () => document.activeElement?.closest?.(".board")?.contains(document.activeElement) ? document.activeElement.dataset.key : null;

  const isOurs = (task) => task.tables.some((table) => table.rows.some((row) => row.origin !== "published"));

  // ---- above the table

  function title(data, task) {
    const select = h("select", { id: "task", onchange: () => state.go("results", select.value) });
    for (const [label, group] of [["With results of ours", data.tasks.filter(isOurs)], ["Published scores only", data.tasks.filter((each) => !isOurs(each))]]) {
      if (group.length) select.append(h("optgroup", { label }, group.map((each) => h("option", { value: each.id }, `${each.name} · ${each.task}`))));
    }
    select.value = task.id;
    return h("div", { class: "title" }, h("h2", { id: "table-title" }, task.title, " ", h("span", { class: "task" }, task.task)),
      h("label", { for: "task" }, "Dataset"), select,
      h("p", { class: "muted small" }, h("code", {}, task.dataset), task.licence ? ` · ${task.licence}` : null, task.links.map((link) => [" · ", h("a", { href: link.href, rel: "noreferrer" }, link.label)])));
  }

  function controls(data, task) {
    const protocol = h("select", { id: "protocol", onchange: () => state.set({ protocol: protocol.value, sort: null, cols: null, all: null }) },
      task.tables.map((table) => h("option", { value: table.id }, table.summary ? `${table.label}: ${table.summary}` : table.label)));
    const about = h("button", { type: "button", class: "help", "aria-label": "what the protocol does" }, "?");
    const clean = h("input", { type: "checkbox", id: "clean", onchange: () => state.set({ clean: clean.checked ? "1" : null, sort: null }) });
    const cleanLabel = h("label", { class: "check", "data-tip": data.glossary["without leaking images"] || null }, clean, h("span"));
    const filter = h("input", { type: "search", id: "filter", placeholder: "model, paper …", oninput: () => state.set({ q: filter.value, all: null }, true) });
    const compare = h("a", { class: "button main" });
    const columns = usbench.menu("Columns", () => columnBoxes(rows.findTable(task, state.current.params)));
    const csv = h("button", { type: "button", onclick: () => usbench.csv.download(task, rows.findTable(task, state.current.params), state.current.params) }, "CSV");
    const elements = [
      h("div", { class: "field" }, h("label", { for: "protocol" }, "Scored by"), h("div", { class: "pair" }, protocol, about)),
      h("div", { class: "field" }, h("label", { for: "filter" }, "Filter"), filter),
      cleanLabel, h("div", { class: "ends" }, columns, csv, linkButton(), compare)];

    function update(table, params) {
      protocol.value = table.id;
      about.dataset.tip = table.description || "Nothing is known of it.";
      clean.checked = params.clean === "1";
      cleanLabel.hidden = !table.without;
      cleanLabel.lastChild.textContent = table.without;
      if (document.activeElement !== filter) filter.value = params.q || "";
      updateCompare(compare, task, table, params);
    }
    return { elements, update };
  }

  function updateCompare(link, task, table, params) {
    const count = rows.ticked(table).length;
    link.textContent = count > 1 ? `Compare ${count} models` : "Compare the best";
    link.href = state.format({ view: "compare", where: task.id, params: { protocol: params.protocol, rows: count > 1 ? params.rows : "" } });
  }

  function columnBoxes(table) {
    const shown = new Set(rows.columns(table, state.current.params).map((column) => column.key));
    const boxes = table.columns.filter((column) => column.kind !== "main").map((column) => {
      const box = h("input", { type: "checkbox", onchange: () => {
        shown[box.checked ? "add" : "delete"](column.key);
        state.set({ cols: [...shown].join(",") }, true);
      } });
      box.checked = shown.has(column.key);
      return h("label", { class: "check", "data-tip": column.tip }, box, h("span", {}, column.title));
    });
    return [h("fieldset", {}, h("legend", {}, "Columns"), boxes),
      h("button", { type: "button", onclick: (event) => { state.set({ cols: null }, true); event.target.closest(".menu").firstChild.click(); event.target.closest(".menu").firstChild.focus(); } }, "As at first")];
  }

  function linkButton() {
    const button = h("button", { type: "button", "data-tip": "The address has the view, table, columns, filter and ticked rows.", onclick: async () => {
      const done = await usbench.copy(location.href);
      button.textContent = done ? "Copied" : "In the address bar";
      usbench.say(done ? "Link copied" : "Copy the link from the address bar");
      setTimeout(() => { button.textContent = "Link"; }, 2000);
    } }, "Link");
    return button;
  }

  // What gives a first result of ours, where there is none.
  const runIt = (task) => (isOurs(task) ? null : h("div", { class: "run-it" }, h("span", {}, "Run it here:"), usbench.copyable(task.run, "the command that gives a first result")));

  // One line, the worst first; the rest behind it.
  function caveats(task) {
    const [worst, ...others] = task.caveats;
    const rest = [...others.map((text) => h("li", {}, text)), ...task.notes.map(({ title: name, text }) => h("li", {}, h("strong", {}, `${name}: `), usbench.linked(text)))];
    const first = worst || (task.notes.length ? "What to know of the data" : "");
    if (!first) return h("div");
    const line = h("span", { class: worst ? "worst" : "" }, first.charAt(0).toUpperCase() + first.slice(1));
    if (!rest.length) return h("p", { class: "caveats" }, line);
    return h("details", { class: "caveats" }, h("summary", {}, line, h("span", { class: "muted" }, ` and ${rest.length} more`)), h("ul", {}, rest));
  }

  // ---- below the table

  function below(data, task, table) {
    const origins = Object.keys(board.NAMES).filter((origin) => table.rows.some((row) => row.origin === origin));
    const key = (origin) => h("li", {}, usbench.svg("svg", { class: `plot ${origin}`, width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" },
      usbench.scale.symbol(origin)), ` ${board.NAMES[origin]}`);
    return [
      h("ul", { class: "keys" }, origins.map(key), table.comparisons.length ? h("li", {}, h("span", { class: "bracket-key", "aria-hidden": "true" }), " tied: no test tells them apart") : null),
      ...table.comparisons.flatMap(({ notes }) => notes).map((note) => h("p", { class: "muted small" }, note)),
      failed(task), transfer(data, task),
    ].filter(Boolean);
  }

  function plain(caption, header, lines) {
    return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, h("table", { class: "plain" }, h("caption", {}, caption),
      h("thead", {}, h("tr", {}, header.map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, lines.map((cells) => h("tr", {}, cells.map((text) => h("td", {}, text)))))));
  }

  function failed(task) {
    if (!task.failed.length) return null;
    return h("details", {}, h("summary", {}, `${task.failed.length} failed or skipped`), plain("Failed or skipped", ["model", "recipe", "seed", "status", "reason"], task.failed));
  }

  function transfer(data, task) {
    const tables = data.transfer.tables.filter((one) => one.tested.includes(task.dataset));
    if (!tables.length) return null;
    return h("details", {}, h("summary", {}, "Scores on other datasets"), h("p", {}, data.transfer.text),
      tables.map((one) => plain("Trained on one dataset, scored on others", ["model", "recipe", "trained on", ...one.tested], one.lines)));
  }

  return { build, plain, KEPT };
})();
