// The view Compare: the ticked models of one table against each other.
"use strict";

usbench.letter = (n) => String.fromCharCode(65 + n);

usbench.compare = (() => {
  const { h, state, rows } = usbench;
  const MOST = 6; // models; more make drawings that nobody can read
  const MOST_CHOICES = 500; // in the list of further models; all can be ticked in the table
  const FIRST = 3; // models compared when none is ticked
  const NO_PICTURES =
    "No pictures: the dataset's licence doesn't allow to show its images, or no result has any.";

  // The ticked rows, else the best of the table.
  function choose(table, params) {
    const find = (ids) => ids.map((id) => table.rows.find((row) => row.id === id)).filter(Boolean);
    const ticked = find((params.rows || "").split(","));
    if (ticked.length) return ticked.slice(0, MOST);
    const best = find(table.comparisons.flatMap((comparison) => comparison.rows).slice(0, FIRST));
    return best.length > 1 ? best : table.rows.filter((row) => row.interval).slice(0, FIRST);
  }

  function build(root, data) {
    if (!data.tasks.length) {
      root.append(h("p", {}, "No results yet."));
      return () => {};
    }
    let drawn = "";
    return (now) => {
      const { protocol, rows: ids, cost } = now.params;
      const signature = JSON.stringify([now.where, protocol, ids, cost]);
      if (signature === drawn) usbench.cases.refresh();
      else draw(root, data, now);
      drawn = signature;
    };
  }

  function draw(root, data, { where, params }) {
    const task = rows.findTask(data, where);
    const table = rows.findTable(task, params);
    const { id, dataset } = root.contains(document.activeElement)
      ? document.activeElement
      : { dataset: {} };
    const focused = id ? `#${id}` : dataset.focus && `[data-focus="${dataset.focus}"]`;
    if (!table) {
      root.replaceChildren(head(data, task), h("p", {}, "No finished result yet."));
      return;
    }
    const chosen = choose(table, params);
    root.replaceChildren(
      head(data, task),
      models(task, table, chosen),
      ...sections(task, table, chosen, params),
    );
    if (focused) (root.querySelector(focused) || root.querySelector("select")).focus();
  }

  function head(data, task) {
    const options = data.tasks.map((each) => [each.id, `${each.name} · ${each.task}`]);
    const select = usbench.select("compare-task", options, task.id, (id) =>
      state.go("compare", id),
    );
    const name = h("h2", {}, task.name, " ", h("span", { class: "task" }, task.task));
    return h(
      "div",
      { class: "title" },
      name,
      h("label", { for: "compare-task" }, "Dataset"),
      select,
    );
  }

  // ---- the chosen models

  const setRows = (chosen) => state.set({ rows: chosen.map((row) => row.id).join(",") });

  function models(task, table, chosen) {
    const chips = chosen.map((row, n) => chip(row, n, chosen));
    const params = {
      protocol: state.current.params.protocol,
      rows: chosen.map((row) => row.id).join(","),
    };
    const back = h(
      "a",
      { href: state.format({ view: "results", where: task.id, params }) },
      "Back to the table",
    );
    const scored = `Scored by ${table.label}${table.summary ? `: ${table.summary}` : ""}. `;
    return h(
      "div",
      { class: "chosen" },
      h("ul", { class: "chips" }, chips),
      adder(table, chosen),
      usbench.small(scored, back),
    );
  }

  function chip(row, n, chosen) {
    const remove = usbench.button("×", () => setRows(chosen.filter((each) => each !== row)), {
      class: "plain",
      "data-focus": "chip",
      "aria-label": `Leave out ${row.name}`,
    });
    const letter = h("span", { class: "letter" }, usbench.letter(n));
    const sub = h("span", { class: "muted small" }, row.sub || "");
    return h("li", {}, letter, ` ${row.name} `, sub, chosen.length > 1 ? remove : null);
  }

  function adder(table, chosen) {
    const others = table.rows.filter((row) => !chosen.includes(row));
    if (!others.length || chosen.length >= MOST) return null;
    const options = others
      .slice(0, MOST_CHOICES)
      .map((row) => [row.id, row.sub ? `${row.name} (${row.sub})` : row.name]);
    const add = (id) => setRows([...chosen, table.rows.find((row) => row.id === id)]);
    const select = usbench.select("add-model", [["", "Add a model …"], ...options], "", add);
    return [h("label", { class: "unseen", for: "add-model" }, "Add a model"), select];
  }

  // ---- what is compared

  function sections(task, table, chosen, params) {
    const cases = h(
      "div",
      { class: "case-view" },
      h("p", { class: "muted" }, task.cases ? "Loading …" : NO_PICTURES),
    );
    if (task.cases) queueMicrotask(() => usbench.cases.fill(cases, task, table, chosen));
    const parts = {
      [`Differences in ${table.score}`]: usbench.forest.differences(table, chosen),
      "The same image, all models": cases,
      [`${table.score} of each class`]: usbench.forest.classes(table, chosen),
      [`${table.score} against cost`]: usbench.cost.build(table, chosen, params),
    };
    return Object.entries(parts)
      .filter(([, content]) => content)
      .map(([title, content]) => h("section", { class: "card" }, h("h3", {}, title), content));
  }

  return { build, choose };
})();
