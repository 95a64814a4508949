// The rows of a table: tick, rank with the brackets of ties, name, scores, interval, pages.
"use strict";

usbench.tableRows = (() => {
  const { h, rows, state, scale } = usbench;
  const MOST_BRACKETS = 4; // columns of brackets

  // ---- ties

  // Place of a row → [lane, part] of each bracket that it has: start, middle or end, or through
  // where another row
  // stands between tied ones. Empty unless the table stands in its own order.
  function brackets(view) {
    const parts = new Map();
    if (!view.isOwnOrder) return parts;
    const add = (place, part) => parts.set(place, [...(parts.get(place) || []), part]);
    tiedPlaces(view).forEach((span, lane) => {
      const [top, bottom] = [Math.min(...span), Math.max(...span)];
      add(top, [lane, "start"]);
      add(bottom, [lane, "end"]);
      for (let place = top + 1; place < bottom; place += 1) {
        add(place, [lane, span.includes(place) ? "middle" : "through"]);
      }
    });
    return parts;
  }

  // The places in the table of each set of tied rows.
  function tiedPlaces(view) {
    const places = new Map(view.rows.map((row, place) => [row.id, place]));
    const shown = (ids) => ids.map((id) => places.get(id)).filter((place) => place !== undefined);
    return view.table.comparisons
      .flatMap(({ rows: ids, ties }) =>
        ties.map(([first, last]) => shown(ids.slice(first, last + 1))),
      )
      .filter((span) => span.length > 1)
      .slice(0, MOST_BRACKETS);
  }

  // ---- cells

  function tick(view, row) {
    const label = `Compare ${row.name}${row.sub ? `, ${row.sub}` : ""}`;
    const box = h("input", { type: "checkbox", "data-row": row.id, "aria-label": label });
    box.addEventListener("change", () => toggle(view, row.id, box.checked));
    box.checked = view.ticked.has(row.id);
    return h("td", { class: "tick" }, box);
  }

  function toggle(view, id, on) {
    view.ticked[on ? "add" : "delete"](id);
    const ids = view.table.rows.map((row) => row.id).filter((each) => view.ticked.has(each));
    state.set({ rows: ids.join(",") }, true);
  }

  function rank(view, row, parts = []) {
    const text = (!view.clean && row.texts[view.rank.place]) || "–";
    const bracket = ([lane, part]) =>
      h("span", { class: `bracket ${part}`, style: `--lane: ${lane}`, "aria-hidden": "true" });
    const lanes = { class: "rank", "data-lanes": view.lanes || null };
    return h("td", lanes, h("span", {}, text), parts.map(bracket));
  }

  function name(view, row) {
    const attributes = { class: "name", "aria-haspopup": "dialog" };
    const button = usbench.button(row.name, () => view.open(row), attributes);
    const origin =
      row.origin === "run" ? null : h("span", { class: "origin" }, usbench.below.NAMES[row.origin]);
    const badge = ({ text, tip }) => h("span", { class: "badge", "data-tip": tip }, text);
    const more = [origin, source(row), (row.badges || []).map(badge)].flat();
    return h("th", { scope: "row", class: "model" }, button, h("span", { class: "more" }, more));
  }

  // The paper, linked where its address is known, or the recipe.
  function source(row) {
    const [link] = row.links || [];
    if (link)
      return h("a", { href: link.href, rel: "noreferrer", class: "sub" }, row.sub || link.label);
    return row.sub ? h("span", { class: "sub" }, row.sub) : null;
  }

  function cell(view, row, column) {
    const text = row.texts[column.place];
    if (column.kind === "main") {
      const shown = view.clean ? row.clean?.text : text;
      return [h("td", { class: "main" }, shown || "–"), plot(view, row)];
    }
    const isMarks = column.key === "published" && row.marks && text === row.marks.join(", ");
    return h("td", { class: column.kind }, isMarks ? marks(view, row) : text);
  }

  const marks = (view, row) =>
    row.marks.map((mark) =>
      h("span", { class: "differs", "data-tip": view.marks[mark] || null }, mark),
    );

  function plot(view, row) {
    const interval = rows.score(row, view.clean);
    const dots = view.clean ? [] : row.dots;
    const drawn = interval && scale.interval(view.scale, interval, row.origin, dots);
    return h("td", { class: "interval" }, drawn);
  }

  function pages(view, row) {
    const runs = view.runs(row).filter((run) => run.href);
    if (!runs.length) return h("td", { class: "pages" });
    const text = runs.length > 1 ? `${runs[0].label} +${runs.length - 1}` : "open";
    const label = `${text}: ${row.name}, ${runs[0].label}`;
    return h("td", { class: "pages" }, h("a", { href: runs[0].href, "aria-label": label }, text));
  }

  function line(view, row, place) {
    const cells = [tick(view, row)];
    if (view.rank) cells.push(rank(view, row, view.brackets.get(place)));
    cells.push(name(view, row), ...view.others.flatMap((column) => cell(view, row, column)));
    if (view.hasPages) cells.push(pages(view, row));
    return h("tr", { class: row.origin, "data-id": row.id }, cells);
  }

  return { brackets, line };
})();
