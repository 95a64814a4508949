// The leaderboard: which dataset and task is shown, its notes, a fold per protocol, and the transfer table. Only what is looked at
// is built.
"use strict";

usbench.leaderboard = (() => {
  const { h, copyable, charts, table } = usbench;
  const KINDS = { run: ["row of ours", "rows of ours"], published: ["published row", "published rows"], external: ["external row", "external rows"], baseline: ["baseline", "baselines"], human: ["human agreement", "human agreements"] };

  function counted(rows) {
    return Object.entries(KINDS).map(([origin, names]) => [rows.filter((row) => row.origin === origin).length, names])
      .filter(([n]) => n).map(([n, [one, several]]) => `${n} ${n === 1 ? one : several}`).join(" · ");
  }

  function legend(of, marks) {
    const there = [...new Set(of.rows.flatMap((row) => row.marks || []))];
    if (!there.length) return null;
    return h("details", {}, h("summary", {}, "What ≠ means"),
      h("dl", { class: "facts" }, there.map((mark) => [h("dt", {}, mark), h("dd", {}, marks[mark] || "")])));
  }

  function drawings(of) {
    return (rows, width) => {
      if (of.failed) return [];
      const shown = rows.map((row) => Object.assign(row, { text: row.texts[of.columns.findIndex(({ kind }) => kind === "main")] }));
      const wide = width > 880 ? (width - 20) / 2 : width; // two beside each other
      const [dots, cost] = [charts.dots(of, shown, wide), charts.cost(of, shown, wide)];
      const both = [dots, cost].filter(Boolean);
      return [both.length ? h("div", { class: "grid" }, both) : null, ...charts.heats(of, shown)].filter(Boolean);
    };
  }

  function protocol(of, marks, first) {
    const { element, start } = table(of, marks, drawings(of));
    const below = of.notes.map(({ kind, text }) => h("p", { class: kind === "leakage" ? "note warn" : "note" }, kind === "leakage" ? `Leakage: ${text}` : text));
    const fold = h("details", { class: "card protocol", id: of.id },
      h("summary", {}, h("h3", {}, of.failed ? of.title : ["Protocol ", h("code", {}, of.title)]),
        h("span", { class: "muted" }, of.failed ? `${of.rows.length}` : `${of.score} · ${counted(of.rows)}`)),
      element, legend(of, marks), below);
    let begun = false;
    fold.addEventListener("toggle", () => {
      if (!fold.open || begun) return;
      begun = true;
      start();
    });
    fold.open = first;
    return fold;
  }

  function notes(task) {
    const loud = ["leakage", "defect"];
    const line = (note) => h("p", {}, h("strong", {}, `${note.title}: `), note.text);
    const quiet = task.notes.filter((note) => !loud.includes(note.kind));
    return [
      task.notes.filter((note) => loud.includes(note.kind)).map((note) => h("div", { class: "note warn" }, line(note))),
      h("details", { class: "note" }, h("summary", {}, "Licence, citation, split and access"),
        task.licence ? h("p", {}, h("strong", {}, "Licence: "), task.licence) : null,
        task.citation ? [h("p", {}, h("strong", {}, "Cite: ")), copyable(task.citation, "the citation")] : null,
        quiet.map(line)),
    ];
  }

  function shown(task, marks) {
    const reporting = Math.max(0, task.tables.findIndex((of) => of.reporting));
    for (const of of task.tables) of.citation = task.citation;
    return [
      h("h2", {}, `${task.dataset} · ${task.task}`),
      task.title ? h("p", { class: "lead" }, task.title) : null,
      notes(task),
      task.tables.map((of, n) => protocol(of, marks, n === reporting)),
    ].flat(2).filter(Boolean);
  }

  function transfer({ text, tables }) {
    const head = (one) => ["model", "recipe", "trained on", ...one.tested.map((name) => `on ${name}`)];
    return [h("h2", {}, "Transfer"), h("p", {}, text), ...tables.map((one) => h("section", { class: "card" },
      h("h3", {}, one.task),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Transfer, ${one.task}` }, h("table", { class: "plain" },
        h("thead", {}, h("tr", {}, head(one).map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, one.lines.map(([model, ...cells]) => h("tr", {}, h("th", { scope: "row" }, model), cells.map((cell) => h("td", {}, cell)))))))))];
  }

  function ours(task) {
    return task.tables.flatMap((of) => (of.reporting ? of.rows : [])).filter((row) => row.origin === "run").length;
  }

  // The Markdown's legend, with *such* and `such` set apart.
  function reading(lines) {
    const marked = (text) => text.split(/(`[^`]+`|\*[^*]+\*)/).map((part, n) => (n % 2 ? h(part[0] === "*" ? "em" : "code", {}, part.slice(1, -1)) : part));
    return h("details", { class: "note" }, h("summary", {}, "How to read this leaderboard"), h("ul", {}, lines.map((line) => h("li", {}, marked(line)))));
  }

  // The leaderboard in its section; `show(where)` builds what an address such as "usgra/segment" or "transfer" names.
  function build(section, leaderboard) {
    usbench.marks = leaderboard.marks;
    const moved = leaderboard.transfer.tables.length > 0;
    const names = [...new Set(leaderboard.tasks.map((task) => task.dataset))];
    const link = (where, text, more) => h("a", { href: `#leaderboard/${where}`, "data-where": where }, text, more ? h("span", {}, more) : null);
    const list = h("ul", {}, names.map((name) => h("li", {}, h("strong", {}, name), h("ul", {}, leaderboard.tasks.filter((task) => task.dataset === name)
      .map((task) => h("li", {}, link(task.id, task.task, ours(task) ? `${ours(task)} of ours` : "")))))),
    moved ? h("li", {}, h("strong", {}, "across datasets"), link("transfer", "transfer")) : null);
    const select = h("select", { id: "where", onchange: () => { location.hash = `leaderboard/${select.value}`; } },
      leaderboard.tasks.map((task) => h("option", { value: task.id }, `${task.dataset} · ${task.task}`)),
      moved ? h("option", { value: "transfer" }, "transfer: trained on × tested on") : null);
    const content = h("div", { class: "content" });
    const below = reading(leaderboard.legend);
    section.append(h("div", { class: "where" }, h("label", { for: "where" }, "Dataset and task"), select),
      h("div", { class: "sides" }, h("nav", { "aria-label": "Datasets and tasks" }, h("h2", {}, "Datasets"), list), h("div", {}, content, below)));
    let there = null;
    return (where) => {
      const task = leaderboard.tasks.find((each) => each.id === where) || leaderboard.tasks.find((each) => each.id === leaderboard.start);
      const name = where === "transfer" && moved ? where : task?.id;
      if (name === there) return;
      there = name;
      select.value = name;
      list.querySelectorAll("a").forEach((each) => {
        if (each.dataset.where === name) each.setAttribute("aria-current", "page");
        else each.removeAttribute("aria-current");
      });
      content.replaceChildren(...(name === "transfer" ? transfer(leaderboard.transfer)
        : task ? shown(task, leaderboard.marks) : [h("p", {}, "No result yet.")]));
    };
  }

  return build;
})();
