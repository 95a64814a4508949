// The view Compare: the ticked models of one table against each other.
"use strict";

usbench.letter = (n) => String.fromCharCode(65 + n);

usbench.compare = (() => {
  const { h, state, rows } = usbench;
  const MOST = 6; // models; more make drawings that nobody can read
  const FIRST = 3; // models compared when none is ticked

  // The ticked rows, else the best of the table.
  function choose(table, params) {
    const ids = (params.rows || "").split(",").filter(Boolean);
    const ticked = ids.map((id) => table.rows.find((row) => row.id === id)).filter(Boolean);
    if (ticked.length) return ticked.slice(0, MOST);
    const ranked = table.comparisons.flatMap((comparison) => comparison.rows).slice(0, FIRST);
    const best = ranked.map((id) => table.rows.find((row) => row.id === id)).filter(Boolean);
    return best.length > 1 ? best : table.rows.filter((row) => row.interval).slice(0, FIRST);
  }

  function build(root, data) {
    if (!data.tasks.length) {
      root.append(h("p", {}, "No results yet."));
      return () => {};
    }
    let drawn = "";
    return (now) => {
      const signature = JSON.stringify([now.where, now.params.protocol, now.params.rows, now.params.cost]);
      if (signature === drawn) usbench.cases.refresh();
      else draw(root, data, now);
      drawn = signature;
    };
  }

  function draw(root, data, { where, params }) {
    const task = rows.findTask(data, where);
    const table = rows.findTable(task, params);
    const focused = root.contains(document.activeElement) ? document.activeElement.id || document.activeElement.dataset.focus : null;
    if (!table) {
      root.replaceChildren(head(data, task), h("p", {}, "No finished result yet."));
      return;
    }
    const chosen = choose(table, params);
    root.replaceChildren(head(data, task), chips(task, table, chosen), ...sections(task, table, chosen, params));
    if (focused) (document.getElementById(focused) || root.querySelector(`[data-focus="${CSS.escape(focused)}"]`) || root.querySelector("select"))?.focus();
  }

  function head(data, task) {
    const select = h("select", { id: "compare-task", onchange: () => state.go("compare", select.value) },
      data.tasks.map((each) => h("option", { value: each.id }, `${each.name} · ${each.task}`)));
    select.value = task.id;
    return h("div", { class: "title" }, h("h2", {}, task.title, " ", h("span", { class: "task" }, task.task)), h("label", { for: "compare-task" }, "Dataset"), select);
  }

  const setRows = (chosen) => state.set({ rows: chosen.map((row) => row.id).join(",") });

  function chips(task, table, chosen) {
    const chip = (row, n) => h("li", {}, h("span", { class: "letter" }, usbench.letter(n)), ` ${row.name} `, h("span", { class: "muted small" }, row.sub || ""),
      chosen.length > 1 ? h("button", { type: "button", class: "plain", "data-focus": "add", "aria-label": `Leave out ${row.name}`, onclick: () => setRows(chosen.filter((each) => each !== row)) }, "×") : null);
    const others = table.rows.filter((row) => !chosen.includes(row));
    const add = h("select", { id: "add-model", onchange: () => setRows([...chosen, table.rows.find((row) => row.id === add.value)]) },
      h("option", { value: "" }, "Add a model …"), others.map((row) => h("option", { value: row.id }, row.sub ? `${row.name} (${row.sub})` : row.name)));
    const link = state.format({ view: "results", where: task.id, params: { protocol: state.current.params.protocol, rows: chosen.map((row) => row.id).join(",") } });
    return h("div", { class: "chosen" }, h("ul", { class: "chips" }, chosen.map(chip)),
      others.length && chosen.length < MOST ? [h("label", { class: "unseen", for: "add-model" }, "Add a model"), add] : null,
      h("p", { class: "muted small" }, `Scored by ${table.label}${table.summary ? `: ${table.summary}` : ""}. `, h("a", { href: link }, "Back to the table")));
  }

  function sections(task, table, chosen, params) {
    const section = (title, content) => (content ? h("section", { class: "card" }, h("h3", {}, title), content) : null);
    const cases = task.cases ? h("div", { class: "case-view" }, h("p", { class: "muted" }, "Loading …")) : h("p", { class: "muted" }, "No pictures: the dataset's licence doesn't allow to show its images, or no result has any.");
    if (task.cases) queueMicrotask(() => usbench.cases.fill(cases, task, table, chosen));
    return [
      section(`Differences in ${table.score}`, usbench.forest.differences(table, chosen)),
      section("The same image, all models", cases),
      section(`${table.score} of each class`, usbench.forest.classes(table, chosen)),
      section(`${table.score} against cost`, usbench.cost.build(table, chosen, params)),
    ].filter(Boolean);
  }

  return { build, choose };
})();
