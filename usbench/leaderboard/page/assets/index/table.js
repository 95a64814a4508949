// The table of one protocol: a native table with sortable headings, drawn a chunk of rows at a
// time.
"use strict";

usbench.table = (() => {
  const { h, rows, state, scale, tips } = usbench;
  const CHUNK = 100; // rows drawn at once
  const PLOT_TIP =
    "Mark: the score. Line: its 95 % interval over test images, of one training. " +
    "Small dots: seeds. Hollow: published.";
  const PAGES_TIP = "The result's page: pictures, curves, cases, settings.";

  let complete = () => {}; // draws all rows of the table at once

  // ---- headings

  function heading(column, params) {
    const asked = rows.sorting(params);
    const order = asked?.key === column.key ? (asked.down ? "descending" : "ascending") : null;
    const button = usbench.button(column.title, () => state.set({ sort: nextSort(column) }), {
      class: "sort",
      "data-key": column.key,
      "data-tip": column.tip,
    });
    return h("th", { scope: "col", class: column.kind, "aria-sort": order }, button);
  }

  // First the larger end of numbers or the first of texts, then the other end, then the table's own
  // order.
  function nextSort(column) {
    const sort = state.current.params.sort;
    const isNumber = ["main", "score", "class", "number"].includes(column.kind);
    const first = `${isNumber ? "-" : ""}${column.key}`;
    const second = `${isNumber ? "" : "-"}${column.key}`;
    if (![first, second].includes(sort)) return first;
    return sort === first ? second : null;
  }

  function head(view) {
    const { params } = view;
    const model = { key: "model", title: "model", kind: "model", tip: view.glossary.model };
    const cells = [
      h("th", { scope: "col", class: "tick" }, h("span", { class: "unseen" }, "Compare")),
    ];
    if (view.rank) cells.push(heading(view.rank, params));
    cells.push(heading(model, params));
    for (const column of view.others) {
      cells.push(heading(column, params));
      if (column.kind === "main") cells.push(plotHeading(view));
    }
    if (view.hasPages)
      cells.push(h("th", { scope: "col", class: "pages" }, tips.term("result", PAGES_TIP)));
    return h("thead", {}, h("tr", {}, cells));
  }

  function plotHeading(view) {
    const name = h("span", { class: "unseen" }, "interval");
    const help = tips.help(PLOT_TIP, "interval: what the drawing shows");
    return h(
      "th",
      { scope: "col", class: "interval" },
      h("div", {}, name, scale.axis(view.scale), help),
    );
  }

  // ---- the table

  // What a table shows, from the data and the state.
  function describe(data, task, table, params, open) {
    const clean = rows.isClean(table, params);
    const columns = rows.columns(table, params);
    const runs = (row) => task.origins[row.id]?.runs || [];
    const view = {
      task,
      table,
      params,
      clean,
      open,
      runs,
      glossary: data.glossary,
      marks: data.marks,
    };
    view.rank = columns.find((column) => column.kind === "rank");
    view.others = columns.filter((column) => column.kind !== "rank");
    view.rows = rows.sorted(table, params);
    view.scale = rows.scale(table, clean);
    view.ticked = new Set(state.list("rows"));
    view.isOwnOrder = !params.sort && !params.q && !clean;
    view.hasPages = table.rows.some((row) => runs(row).some((run) => run.href));
    view.brackets = usbench.tableRows.brackets(view);
    view.lanes = Math.max(0, ...[...view.brackets.values()].flat().map(([lane]) => lane + 1));
    return view;
  }

  function build(data, task, table, params, open) {
    const view = describe(data, task, table, params, open);
    const body = h("tbody");
    const most = params.all === "1" ? view.rows.length : CHUNK;
    append(body, view);
    complete = () => {
      while (body.rows.length < view.rows.length) append(body, view);
    };
    if (most > CHUNK) later(body, view);
    const images = view.clean ? `, ${table.without}` : "";
    const caption = `${task.title}, ${task.task}: ${table.label}${images}`;
    const title = h("caption", { class: "unseen" }, caption);
    const element = h("table", { class: "board" }, title, head(view), body);
    const region = usbench.region(`Table: ${caption}`, element, "board-scroll");
    return h("div", {}, region, footer(view, most));
  }

  // The next rows.
  function append(body, view) {
    const from = body.rows.length;
    const part = view.rows.slice(from, from + CHUNK);
    body.append(...part.map((row, n) => usbench.tableRows.line(view, row, from + n)));
  }

  // The further rows, a chunk at a time, so that the page stays usable.
  function later(body, view) {
    setTimeout(() => {
      if (!body.isConnected || body.rows.length >= view.rows.length) return;
      append(body, view);
      later(body, view);
    });
  }

  function footer(view, most) {
    const count = view.rows.length;
    if (!count) return h("p", { class: "muted" }, "No row matches the filter.");
    if (count <= most) return null;
    return h("p", {}, usbench.button(`Show all ${count.toLocaleString("en")} rows`, showAll));
  }

  // The button goes, so the last row that was there gets the focus.
  function showAll() {
    state.set({ all: "1" }, true);
    document.querySelector(`.board tr:nth-child(${CHUNK}) button`)?.focus();
  }

  return { build, complete: () => complete() };
})();
