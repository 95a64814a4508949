// One protocol's rows as a table that sorts, filters and folds, and the dialog with all that is known of a row.
"use strict";

usbench.table = (() => {
  const { h, copyable, charts } = usbench;
  const PAGE = 50; // rows at once
  const GROUPS = {
    run: "Our runs", external: "External predictions", published: "Published", human: "Human agreement", baseline: "Baselines",
  };
  const ALWAYS = ["rank", "model", "recipe", "seeds", "parameters", "Δ published", "source", "note", "run id", "seed", "status", "reason"];
  const HEADERS = { // what a column is, on hover and on focus
    rank: "The range of places that paired tests on the same cases leave a row: rows whose ranges overlap are tied.",
    target_score: "The score of the target itself under this protocol.",
    seeds: "How many trainings, and the sample SD of their scores. 2 of 3: one failed or lacks folds.",
    groups: "How many patients, animals or videos the cases are of, and the standard error over them: another spread than the seeds'.",
    "per image": "From the native image to its prediction at batch 1, on the device named.",
    "training h": "Mean over the seeds, each on the machine that its result names.",
    "Δ published": "Ours minus theirs, only where protocol, data, model and recipe are the same; else ≠ says what differs.",
    source: "A published row is verified by: author, stated by the authors; third-party, read in someone else's copy; no.",
  };

  // ---- cells

  function mainScore(cell, table, narrow) {
    const { row, [cell.getField()]: text } = cell.getData();
    return h("span", {}, charts.whisker(row, table, narrow ? 44 : 96), text);
  }

  function marked(text, row, marks) {
    const found = row.marks || [];
    const start = found.join(", ");
    if (!start || !text.startsWith(start)) return text;
    const shown = found.map((mark, n) => [n ? ", " : "",
      h("span", { class: "mark", tabindex: "0", "data-tip": marks[mark] || mark }, mark)]);
    return h("span", {}, shown, text.slice(start.length));
  }

  function pages(row) {
    const linked = (row.runs || []).filter((run) => run.href);
    const links = linked.slice(0, 6).map((run, n) => [n ? " " : "",
      h("a", { href: run.href, "aria-label": `Result page of ${charts.named(row)}, ${run.label}` }, linked.length === 1 ? "result" : run.label.replace("seed ", ""))]);
    return h("span", {}, linked.length > 1 ? "seeds " : "", links, linked.length > 6 ? ` + ${linked.length - 6}` : "");
  }

  // ---- columns

  const missing = (value) => value === null || value === undefined;

  function byNumber(place) {
    return (_a, _b, one, other, _column, direction) => {
      const [a, b] = [one, other].map((each) => each.getData().row.numbers[place]);
      if (missing(a) || missing(b)) return missing(a) && missing(b) ? 0 : (missing(a) ? 1 : -1) * (direction === "asc" ? 1 : -1);
      return a - b;
    };
  }

  function heading(title) {
    return () => h("button", { type: "button", "data-tip": HEADERS[title] || null }, title);
  }

  function column(table, marks, { title, kind }, place, width) {
    const field = `c${place}`;
    const best = kind === "main" ? (table.higher_is_better ? "desc" : "asc") : ["rank", "target_score", "model"].includes(title) || title.endsWith(" ↓") ? "asc" : "desc";
    const made = {
      title, field, titleFormatter: heading(title), headerSortStartingDir: kind === "text" ? "asc" : best,
      sorter: kind === "text" ? "string" : byNumber(place), visible: shownAtFirst(table, title, kind),
      formatter: (cell) => String(cell.getValue()).length ? h("span", {}, cell.getValue()) : "",
    };
    if (kind === "main") Object.assign(made, { formatter: (cell) => mainScore(cell, table, width < 600), minWidth: width < 600 ? 185 : 250 });
    if (title === "model") {
      Object.assign(made, { frozen: true, width: width < 600 ? 138 : 215, cssClass: "wraps", formatter: (cell) => opener(cell, table) });
    }
    if (["note", "reason", "source"].includes(title)) Object.assign(made, { width: 250, cssClass: "wraps" });
    if (title === "Δ published") {
      Object.assign(made, { width: 230, cssClass: "wraps", formatter: (cell) => marked(cell.getValue(), cell.getData().row, marks) });
    }
    return made;
  }

  function opener(cell, table) {
    const { row } = cell.getData();
    return h("button", { type: "button", class: "plain", "aria-haspopup": "dialog", onclick: () => details(row, table) },
      h("span", { class: "origin", style: `color: ${charts.COLOUR[row.origin]}` }), row.name);
  }

  function shownAtFirst(table, title, kind) {
    const ours = table.rows.some((row) => row.origin !== "published");
    return !ours || ["main", "custom"].includes(kind) || ALWAYS.includes(title) || / without \d+ images/.test(title);
  }

  // ---- a row's dialog

  function details(row, table) {
    const known = table.columns.map(({ title }, n) => [title, row.texts[n]]).filter(([title, text]) => text && !["model", "recipe"].includes(title));
    const runs = row.runs || [];
    const again = runs.filter((run) => run.reproduce);
    usbench.dialog(charts.named(row), [
      table.failed ? null : h("p", { class: "muted" }, `${GROUPS[row.origin]}, by the protocol ${table.title}.`),
      row.command || again.length ? h("h3", {}, row.origin === "published" ? "The command that runs this model here" : "The command") : null,
      row.command ? copyable(row.command, "the command") : null,
      again.length ? h("details", { open: !row.command || null },
        h("summary", {}, `Exactly ${again.length > 1 ? "these results" : "this result"} again, from the result alone`),
        again.map((run) => copyable(run.reproduce, `the command for ${run.label}`))) : null,
      row.command || again.length ? h("p", { class: "muted small" }, "The release is looked for in ./data or in USBENCH_DATA.",
        row.origin === "external" ? " PREDICTIONS: the folder of the predictions." : "",
        (row.command_notes || []).map((note) => ` ${note}`)) : null,
      h("h3", {}, "On the leaderboard"),
      h("dl", { class: "facts" }, known.map(([title, text]) => [h("dt", {}, title), h("dd", {}, text)])),
      row.marks ? h("ul", {}, row.marks.map((mark) => h("li", {}, `${mark}: ${usbench.marks[mark] || ""}`))) : null,
      runs.length ? h("h3", {}, runs.length > 1 ? "Results" : "Result") : null,
      runs.length ? h("ul", {}, runs.map((run) => h("li", {}, run.href ? h("a", { href: run.href }, run.label) : run.label, " ", h("code", {}, run.run_id)))) : null,
      table.citation ? [h("h3", {}, "Cite the dataset"), copyable(table.citation, "the citation")] : null,
    ]);
  }

  // ---- the table

  function data(table) {
    return table.rows.map((row) => ({
      row, group: row.origin, ...Object.fromEntries(row.texts.map((text, n) => [`c${n}`, text])),
    }));
  }

  function folding(table) {
    const there = Object.keys(GROUPS).filter((origin) => table.rows.some((row) => row.origin === origin));
    if (table.failed || there.length < 2) return {};
    const header = (value, count, _data, group) =>
      h("button", { type: "button", "aria-expanded": String(group.isVisible()) }, `${GROUPS[value]} (${count})`);
    return { groupBy: "group", groupValues: [there], groupHeader: header, groupHeaderPrint: (value) => GROUPS[value], groupToggleElement: "header" };
  }

  function grid(table, marks, place) {
    const columns = table.columns.map((each, n) => column(table, marks, each, n, place.clientWidth));
    const first = (each) => (each.title === "model" ? 0 : each.title === table.score && place.clientWidth < 600 ? 1 : 2);
    columns.sort((one, other) => first(one) - first(other)); // what stays in view
    if (table.rows.some((row) => (row.runs || []).some((run) => run.href))) {
      const linked = { title: "result", field: "row", titleFormatter: heading("result"), headerSort: false, formatter: (cell) => pages(cell.getValue()) };
      columns.splice(columns.findIndex((each) => ["seeds", "target_score", "source"].includes(each.title)), 0, linked);
    }
    const long = table.rows.length > PAGE;
    const made = new Tabulator(place, {
      data: data(table), columns, layout: "fitDataFill", columnDefaults: { resizable: false, headerHozAlign: "left" },
      renderVertical: "basic", ...folding(table),
      printAsHtml: true, printStyled: false, printRowRange: "active", // on paper: every row, as a plain table
      ...(long ? { pagination: true, paginationSize: PAGE, paginationCounter: "rows" } : {}),
    });
    made.on("groupVisibilityChanged", () => setTimeout(() => place.querySelectorAll(".tabulator-group").forEach((group) => {
      group.querySelector("button").setAttribute("aria-expanded", String(group.classList.contains("tabulator-group-visible")));
    })));
    place.setAttribute("aria-label", `${table.title}${table.score ? `, ${table.score}` : ""}`);
    return made;
  }

  // What a reader types and chooses: {typed, model} → rows that are shown.
  function fits(row, { typed, model }) {
    const text = [row.name, row.recipe || "", ...row.texts].join(" ").toLowerCase();
    return (!model || row.name === model) && typed.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  }

  function tools(table, changed) {
    const [filter, model, columns] = ["filter", "model", "columns"].map((name) => `${name}-${table.id}`);
    const names = [...new Set(table.rows.map((row) => row.name))];
    const chosen = { typed: "", model: "", all: false };
    const set = (name, value) => { chosen[name] = value; changed(chosen); };
    return h("div", { class: "row tools" },
      h("div", { class: "wide" }, h("label", { for: filter }, "Filter rows"),
        h("input", { id: filter, type: "search", placeholder: "model, recipe, source, note …", oninput: (event) => set("typed", event.target.value) })),
      h("div", {}, h("label", { for: model }, "Model"),
        h("select", { id: model, onchange: (event) => set("model", event.target.value) },
          h("option", { value: "" }, "all"), names.map((name) => h("option", { value: name }, name)))),
      table.failed ? null : h("div", {}, h("label", { for: columns }, "Columns"),
        h("select", { id: columns, onchange: (event) => set("all", event.target.value === "all") },
          h("option", { value: "main" }, "main"), h("option", { value: "all" }, "all"))),
      table.description ? h("button", { type: "button", class: "description", "aria-haspopup": "dialog", onclick: () =>
        usbench.dialog(`Protocol ${table.title}`, [h("p", {}, table.description), h("p", { class: "muted" }, "Scores by two protocols aren't comparable.")]) },
        "About the protocol") : null);
  }

  // The element with tools, table and, by `below(rows)`, what is drawn of the rows that are shown.
  function build(table, marks, below) {
    const place = h("div", { class: "rows" });
    const none = h("p", { class: "note", hidden: true }, "No row fits these filters.");
    const under = h("div");
    let made;
    let waiting;
    const redraw = () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        if (under.clientWidth) under.replaceChildren(...below(made.getData("active").map((each) => each.row), under.clientWidth));
      }, 60);
    };
    const changed = (chosen) => {
      made.setFilter((each) => fits(each.row, chosen));
      table.columns.forEach(({ title, kind }, n) => {
        const show = chosen.all || shownAtFirst(table, title, kind);
        if (made.getColumn(`c${n}`).isVisible() !== show) made.getColumn(`c${n}`).toggle();
      });
      none.hidden = made.getDataCount("active") > 0;
      usbench.say(`${made.getDataCount("active")} rows`);
    };
    const start = () => {
      made = grid(table, marks, place);
      made.on("tableBuilt", redraw);
      made.on("dataFiltered", redraw);
      made.on("dataSorted", redraw);
      let before = under.clientWidth;
      new ResizeObserver(() => {
        if (!under.clientWidth || Math.abs(under.clientWidth - before) < 8) return; // hidden, or a scroll bar
        before = under.clientWidth;
        redraw();
      }).observe(under);
    };
    return { element: h("div", {}, tools(table, changed), place, none, under), start };
  }

  return build;
})();
