// What stands below a table: its marks explained, what its tests can show, failures, scores on
// other datasets.
"use strict";

usbench.below = (() => {
  const { h, svg, scale, plain, folded } = usbench;
  const NAMES = {
    run: "ours",
    external: "external",
    published: "published",
    human: "people",
    baseline: "baseline",
  };

  function build(data, task, table) {
    const notes = table.comparisons.flatMap((comparison) => comparison.notes);
    return [
      keys(table),
      ...notes.map((note) => usbench.small(note)),
      ...failed(task),
      ...transfer(data, task),
    ];
  }

  function keys(table) {
    const frame = { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" };
    const items = Object.keys(NAMES)
      .filter((origin) => table.rows.some((row) => row.origin === origin))
      .map((origin) => [
        svg("svg", { class: `plot ${origin}`, ...frame }, scale.symbol(origin)),
        NAMES[origin],
      ]);
    if (table.comparisons.length) {
      const bracket = h("span", { class: "bracket-key", "aria-hidden": "true" });
      items.push([bracket, "tied: no test tells them apart"]);
    }
    return h(
      "ul",
      { class: "keys" },
      items.map((parts) => h("li", {}, parts)),
    );
  }

  function failed(task) {
    if (!task.failed.length) return [];
    const header = ["model", "recipe", "seed", "status", "reason"];
    const summary = `${task.failed.length} failed or skipped`;
    return [folded(summary, plain("Failed or skipped", header, task.failed))];
  }

  function transfer(data, task) {
    const tables = data.transfer.tables.filter((table) => table.tested.includes(task.dataset));
    if (!tables.length) return [];
    const caption = "Trained on one dataset, scored on others";
    const parts = tables.map(({ tested, lines }) =>
      plain(caption, ["model", "recipe", "trained on", ...tested], lines),
    );
    return [folded("Scores on other datasets", h("p", {}, data.transfer.text), ...parts)];
  }

  return { build, failed, NAMES };
})();
