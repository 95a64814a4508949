// The table that is shown, as a CSV file.
"use strict";

usbench.csv = (() => {
  const { rows } = usbench;

  // A cell; one that a spreadsheet would run as a formula becomes text.
  function quote(value) {
    if (value === null || value === undefined) return "";
    let text = String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function lines(task, table, params) {
    const clean = rows.isClean(table, params);
    const columns = rows.columns(table, params).filter((column) => column.key !== "interval");
    const header = ["dataset", "task", "protocol", "images", "model", "recipe or paper", "origin", "score", "low", "high"];
    const others = columns.filter((column) => column.kind !== "main");
    const body = rows.sorted(table, params).map((row) => {
      const [low, value, high] = rows.score(row, clean) || [];
      const cells = others.map((column) => row.numbers[column.place] ?? row.texts[column.place]);
      const images = clean ? table.without : (row.badges || []).find((badge) => badge.text === "other images")?.tip || "all";
      return [task.dataset, task.task, row.badges?.[0]?.text === "protocol unknown" ? "unknown" : table.label, images,
        row.name, row.sub, row.origin, value, low, high, ...cells];
    });
    return [[...header, ...others.map((column) => column.title)], ...body];
  }

  function download(task, table, params) {
    const text = lines(task, table, params).map((cells) => cells.map(quote).join(",")).join("\r\n");
    const link = usbench.h("a", {
      href: URL.createObjectURL(new Blob([`${text}\r\n`], { type: "text/csv" })),
      download: `${task.id.replace("/", "-")}-${table.id}.csv`,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    usbench.say("CSV saved");
  }

  return { lines, download };
})();
