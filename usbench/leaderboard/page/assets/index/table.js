// The table of one protocol: a native table with sortable headings, brackets of ties and a column of intervals on one axis.
"use strict";

usbench.table = (() => {
  const { h, svg, rows, state, scale } = usbench;
  const CHUNK = 100; // rows drawn at once
  const MOST_BRACKETS = 4; // columns of brackets
  const NAMES = { run: "ours", external: "external", published: "published", human: "people", baseline: "baseline" };

  const PLOT_TIP = "Mark: the score. Line: its 95 % interval, of one training for other images. Small dots: seeds. Hollow: published.";

  // ---- headings

  function heading(column, params) {
    const asked = rows.sorting(params);
    const isSorted = asked?.key === column.key;
    const button = h("button", {
      type: "button", class: "sort", "data-key": column.key, "data-tip": column.tip,
      onclick: () => state.set({ sort: nextSort(column, params) }),
    }, column.title);
    return h("th", { scope: "col", class: column.kind, "aria-sort": isSorted ? (asked.down ? "descending" : "ascending") : null }, button);
  }

  // First the better or larger end, then the other, then the table's own order.
  function nextSort(column, params) {
    const asked = rows.sorting({ sort: state.current.params.sort });
    const downFirst = ["main", "score", "class", "number"].includes(column.kind);
    const first = `${downFirst ? "-" : ""}${column.key}`;
    const second = `${downFirst ? "" : "-"}${column.key}`;
    if (asked?.key !== column.key) return first;
    return state.current.params.sort === first ? second : null;
  }

  function head(view) {
    const model = { key: "model", title: "model", kind: "model", tip: view.glossary.model };
    const cells = [h("th", { scope: "col", class: "tick" }, h("span", { class: "unseen" }, "Compare"))];
    const rank = view.columns.find((column) => column.kind === "rank");
    if (rank) cells.push(heading(rank, view.params));
    cells.push(heading(model, view.params));
    for (const column of view.columns) {
      if (column.kind === "rank") continue;
      cells.push(heading(column, view.params));
      if (column.kind === "main") cells.push(plotHeading(view));
    }
    if (view.hasPages) cells.push(h("th", { scope: "col", class: "pages" }, usbench.tips.term("result", "The result's page: pictures, curves, cases, settings.")));
    return h("thead", {}, h("tr", {}, cells));
  }

  const plotHeading = (view) => h("th", { scope: "col", class: "interval" },
    h("div", {}, h("span", { class: "unseen" }, "interval"), scale.axis(view.scale), usbench.tips.help(PLOT_TIP, "interval: what the drawing shows")));

  // ---- rows

  // The part of each bracket that a row has: start, middle or end; [] unless the table stands in its own order.
  function brackets(view) {
    const parts = new Map();
    if (!view.isOwnOrder) return parts;
    const places = new Map(view.rows.map((row, place) => [row.id, place]));
    const spans = view.table.comparisons.flatMap(({ rows: ids, ties }) =>
      ties.map(([first, last]) => ids.slice(first, last + 1).map((id) => places.get(id)).filter((place) => place !== undefined)))
      .filter((span) => span.length > 1);
    spans.slice(0, MOST_BRACKETS).forEach((span, lane) => {
      const [top, bottom] = [Math.min(...span), Math.max(...span)];
      for (let place = top; place <= bottom; place += 1) {
        const part = place === top ? "start" : place === bottom ? "end" : span.includes(place) ? "middle" : "through";
        parts.set(place, [...(parts.get(place) || []), [lane, part]]);
      }
    });
    return parts;
  }

  function tick(view, row) {
    const box = h("input", {
      type: "checkbox", "data-row": row.id, "aria-label": `Compare ${row.name}${row.sub ? `, ${row.sub}` : ""}`,
      onchange: () => toggle(view, row.id, box.checked),
    });
    box.checked = view.ticked.has(row.id);
    return h("td", { class: "tick" }, box);
  }

  function toggle(view, id, on) {
    view.ticked[on ? "add" : "delete"](id);
    state.set({ rows: view.table.rows.map((row) => row.id).filter((each) => view.ticked.has(each)).join(",") }, true);
  }

  const badge = ({ text, tip }) => h("span", { class: "badge", "data-tip": tip }, text);

  function name(view, row) {
    const origin = row.origin === "run" ? null : h("span", { class: "origin" }, NAMES[row.origin]);
    const button = h("button", { type: "button", class: "name", "aria-haspopup": "dialog", onclick: () => view.open(row) }, row.name);
    const sub = row.links?.length ? h("a", { href: row.links[0].href, rel: "noreferrer", class: "sub" }, row.sub || row.links[0].label)
      : row.sub ? h("span", { class: "sub" }, row.sub) : null;
    return h("th", { scope: "row", class: "model" }, button, h("span", { class: "more" }, origin, sub, (row.badges || []).map(badge)));
  }

  function rank(view, row, column, parts) {
    const text = view.clean ? "" : row.texts[column.place];
    return h("td", { class: "rank", "data-lanes": view.lanes || null }, h("span", {}, text || "–"),
      (parts || []).map(([lane, part]) => h("span", { class: `bracket ${part}`, style: `--lane: ${lane}`, "aria-hidden": "true" })));
  }

  function cell(view, row, column) {
    if (column.kind === "main") {
      const text = view.clean ? row.clean?.text : row.texts[column.place];
      return [h("td", { class: "main" }, text || "–"), plot(view, row)];
    }
    const text = row.texts[column.place];
    if (column.key === "published" && row.marks?.length) return h("td", { class: column.kind }, marks(view, row), row.marks.length && text !== row.marks.join(", ") ? text : null);
    return h("td", { class: column.kind }, text);
  }

  const marks = (view, row) => row.marks.map((mark) => h("span", { class: "mark", "data-tip": view.marks[mark] || null }, mark));

  function plot(view, row) {
    const interval = rows.score(row, view.clean);
    if (!interval) return h("td", { class: "interval" });
    const drawn = scale.interval(view.scale, interval, row.origin, view.clean ? [] : row.dots);
    return h("td", { class: "interval" }, drawn);
  }

  function pages(view, row) {
    const runs = (view.origins[row.id]?.runs || []).filter((run) => run.href);
    if (!runs.length) return h("td", { class: "pages" });
    const text = runs.length > 1 ? `${runs[0].label} +${runs.length - 1}` : "open";
    return h("td", { class: "pages" }, h("a", { href: runs[0].href, "aria-label": `${text}: ${row.name}, ${runs[0].label}` }, text));
  }

  function line(view, row, place) {
    const cells = [tick(view, row)];
    const first = view.columns.find((column) => column.kind === "rank");
    if (first) cells.push(rank(view, row, first, view.brackets.get(place)));
    cells.push(name(view, row));
    for (const column of view.columns) if (column.kind !== "rank") cells.push(cell(view, row, column));
    if (view.hasPages) cells.push(pages(view, row));
    return h("tr", { class: row.origin, "data-id": row.id }, cells);
  }

  // ---- the table

  // What a table shows, from the data and the state.
  function describe(data, task, table, params, open) {
    const clean = rows.isClean(table, params);
    const view = {
      task, table, params, clean, open,
      glossary: data.glossary, marks: data.marks, origins: task.origins,
      columns: rows.columns(table, params), rows: rows.sorted(table, params), scale: rows.scale(table, clean),
      ticked: new Set(state.list("rows")), isOwnOrder: !params.sort && !params.q && !clean,
    };
    view.hasPages = table.rows.some((row) => task.origins[row.id]?.runs?.some((run) => run.href));
    view.brackets = brackets(view);
    view.lanes = Math.max(0, ...[...view.brackets.values()].flat().map(([lane]) => lane + 1));
    return view;
  }

  function build(data, task, table, params, open) {
    const view = describe(data, task, table, params, open);
    const body = h("tbody");
    const most = params.all === "1" ? view.rows.length : CHUNK;
    append(body, view, 0, Math.min(most, CHUNK));
    if (most > CHUNK) later(body, view, CHUNK);
    const caption = `${task.title}, ${task.task}: ${table.label}${view.clean ? `, ${table.without}` : ""}`;
    const element = h("table", { class: "board" }, h("caption", { class: "unseen" }, caption), head(view), body);
    const region = h("div", { class: "scroll board-scroll", tabindex: 0, role: "region", "aria-label": `Table: ${caption}` }, element);
    return h("div", { class: "board-box" }, region, footer(view, body, most));
  }

  function append(body, view, from, to) {
    body.append(...view.rows.slice(from, to).map((row, n) => line(view, row, from + n)));
  }

  // The further rows, a chunk at a time, so that the page stays usable.
  function later(body, view, from) {
    setTimeout(() => {
      if (!body.isConnected) return;
      append(body, view, from, from + CHUNK);
      if (from + CHUNK < view.rows.length) later(body, view, from + CHUNK);
    });
  }

  function footer(view, body, most) {
    if (!view.rows.length) return h("p", { class: "muted" }, "No row matches the filter.");
    if (view.rows.length <= most) return null;
    const button = h("button", { type: "button", onclick: () => {
      state.set({ all: "1" }, true);
      document.querySelector(`.board tr:nth-child(${CHUNK}) button`)?.focus();
    } }, `Show all ${view.rows.length.toLocaleString("en")} rows`);
    return h("p", {}, button);
  }

  return { build, NAMES, svg };
})();
