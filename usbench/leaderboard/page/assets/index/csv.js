// The table that is shown, as a CSV file.
"use strict";

usbench.csv = (() => {
  const { rows } = usbench;
  const ALWAYS = ["dataset", "task", "protocol", "images", "model", "recipe or paper", "origin"];

  // A cell; one that a spreadsheet would run as a formula becomes text.
  function quote(value) {
    if (value === null || value === undefined) return "";
    let text = String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  const tipOf = (row, text) => (row.badges || []).find((badge) => badge.text === text)?.tip;

  function lines(task, table, params) {
    const clean = rows.isClean(table, params);
    const hidden = ["score", "interval"]; // stand in columns of their own
    const columns = rows.columns(table, params).filter(({ key }) => !hidden.includes(key));
    const line = (row) => {
      const [low, value, high] = rows.score(row, clean) || [];
      const protocol = tipOf(row, "protocol unknown") ? "unknown" : table.label;
      const images = clean ? table.without : tipOf(row, "other images") || "all";
      const name = [task.dataset, task.task, protocol, images, row.name, row.sub, row.origin];
      const cells = columns.map(({ place }) => row.numbers[place] ?? row.texts[place]);
      return [...name, value, low, high, ...cells];
    };
    const header = [...ALWAYS, "score", "low", "high", ...columns.map((column) => column.title)];
    return [header, ...rows.sorted(table, params).map(line)];
  }

  function download(task, table, params) {
    const text = lines(task, table, params)
      .map((cells) => cells.map(quote).join(","))
      .join("\r\n");
    const file = new Blob([`${text}\r\n`], { type: "text/csv" });
    const name = `${task.id.replace("/", "-")}-${table.id}.csv`;
    const link = usbench.h("a", { href: URL.createObjectURL(file), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    usbench.say("CSV saved");
  }

  return { lines, download };
})();
