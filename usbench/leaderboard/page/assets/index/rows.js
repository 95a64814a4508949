// Which table, rows and columns the address asks for: pure functions of the data and the state.
"use strict";

usbench.rows = (() => {
  const { state } = usbench;

  const findTask = (data, where) =>
    data.tasks.find((task) => task.id === where) ||
    data.tasks.find((task) => task.dataset === where) ||
    data.tasks[0];

  const findTable = (task, params) =>
    task.tables.find((table) => table.id === params.protocol) || task.tables[0];

  // The columns shown: those of the address, else the table's own.
  function columns(table, params) {
    const asked = params.cols === undefined ? null : params.cols.split(",");
    return table.columns
      .map((column, place) => ({ ...column, place }))
      .filter((column) => (asked ? asked.includes(column.key) : column.shown));
  }

  const isClean = (table, params) => Boolean(table.without) && params.clean === "1";

  // What a row scores: on all images, or without leaking ones.
  const score = (row, clean) => (clean ? row.clean?.interval : row.interval) || null;

  function matches(row, query) {
    const text = [row.name, row.sub, row.origin, ...row.texts].join(" ").toLowerCase();
    return query
      .toLowerCase()
      .split(/\s+/)
      .every((word) => text.includes(word));
  }

  // A value to sort a row by; null comes last, whatever the direction.
  function sortValue(row, column, clean) {
    if (!column) return row.name.toLowerCase();
    if (column.kind === "main") return score(row, clean)?.[1] ?? null;
    return row.numbers[column.place] ?? (row.texts[column.place] || null);
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a.localeCompare(b, "en", { numeric: true });
  }

  // The column and direction that an address sorts by: "dice" upwards, "-dice" downwards; null: the
  // table's own order.
  function sorting(params) {
    const key = params.sort || "";
    return key ? { key: key.replace(/^-/, ""), down: key.startsWith("-") } : null;
  }

  function sorted(table, params) {
    const clean = isClean(table, params);
    const rows = params.q ? table.rows.filter((row) => matches(row, params.q)) : [...table.rows];
    const asked = sorting(params) || (clean ? { key: "score", down: table.higher } : null);
    if (!asked) return rows;
    const column = table.columns
      .map((each, place) => ({ ...each, place }))
      .find((each) => each.key === asked.key);
    const keyed = rows.map((row) => [sortValue(row, column, clean), row]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return asked.down ? compare(b, a) : compare(a, b);
    });
    return keyed.map(([, row]) => row);
  }

  // Rows ticked for a comparison, in the table's order.
  const ticked = (table) => {
    const ids = state.list("rows");
    return table.rows.filter((row) => ids.includes(row.id));
  };

  // The axis of a table's scores; baselines may widen it a little, else they are off scale.
  function scale(table, clean) {
    const intervals = (rows) => rows.map((row) => score(row, clean)).filter(Boolean);
    const models = table.rows.filter((row) => row.origin !== "baseline");
    return usbench.scale.make(
      intervals(models),
      intervals(table.rows.filter((row) => row.origin === "baseline")),
    );
  }

  return { findTask, findTable, columns, isClean, score, sorted, sorting, ticked, scale };
})();
