// The chosen models against each other: paired differences with intervals, and the score of each
// class.
"use strict";

usbench.forest = (() => {
  const { h, scale } = usbench;
  const TEST =
    "p: how often swapping whole groups at random gives as large a difference, " +
    "by Holm's correction for all pairs of the table. Tied: p ≥ .05.";

  function number(value, sign = "") {
    const text = Math.abs(value)
      .toFixed(Math.abs(value) >= 10 ? 1 : 3)
      .replace(/^0\./, ".");
    return `${value < 0 ? "−" : sign}${text}`;
  }

  function probability(p) {
    if (p === null) return "–";
    if (p < 0.001) return "< .001";
    return p >= 0.9995 ? "1" : p.toFixed(3).replace(/^0/, "");
  }

  // The pairs of chosen models that were tested; a and b: their places among the chosen, a being
  // the better one.
  function pairs(table, chosen) {
    const place = new Map(chosen.map((row, n) => [row.id, n]));
    return table.comparisons.flatMap(({ rows: ids, pairs: all }) =>
      all
        .filter(([better, worse]) => place.has(ids[better]) && place.has(ids[worse]))
        .map(([better, worse, value, low, high, p, holm]) => ({
          a: place.get(ids[better]),
          b: place.get(ids[worse]),
          ...{ value, low, high, p, holm },
        })),
    );
  }

  const isApart = ({ holm }) => holm !== null && holm < 0.05;

  function verdict(pair) {
    if (pair.p === null) return "not tested: too few groups";
    return isApart(pair) ? `${usbench.letter(pair.a)} is better` : "tied";
  }

  const tag = (n, name) => [
    h("span", { class: "letter" }, usbench.letter(n)),
    " ",
    h("span", { class: "name" }, name),
  ];

  const column = (text, attributes = {}) => h("th", { scope: "col", ...attributes }, text);

  const axisColumn = (axis) =>
    column([h("span", { class: "unseen" }, "interval"), scale.axis(axis)], { class: "interval" });

  // ---- differences

  function differences(table, chosen) {
    const shown = pairs(table, chosen);
    if (!shown.length) return [h("p", { class: "muted" }, untested(table, chosen))];
    const axis = scale.make([[0], ...shown.map(({ low, value, high }) => [low, value, high])]);
    const head = [column("pair"), column("difference"), axisColumn(axis)];
    head.push(...["95 % interval", "p (Holm)", "verdict"].map((text) => column(text)));
    const lines = shown.map((pair) => differenceLine(pair, chosen, axis));
    return [grid("Paired differences on the same images", head, lines), ...notes(table, chosen)];
  }

  function differenceLine(pair, chosen, axis) {
    const { a, b, low, value, high, holm } = pair;
    const minus = h("span", { class: "muted" }, " − ");
    return h(
      "tr",
      { class: isApart(pair) ? "apart" : "" },
      h("th", { scope: "row" }, tag(a, chosen[a].name), minus, tag(b, chosen[b].name)),
      h("td", { class: "main" }, number(value, "+")),
      h("td", { class: "interval" }, scale.interval(axis, [low, value, high], "run")),
      h("td", {}, low === null ? "–" : `[${number(low)}, ${number(high)}]`),
      h("td", { class: "number" }, probability(holm)),
      h("td", {}, verdict(pair)),
    );
  }

  function notes(table, chosen) {
    const tested = new Set(table.comparisons.flatMap(({ rows: ids }) => ids));
    const without = chosen.filter((row) => !tested.has(row.id)).map((row) => row.name);
    const groups = `Groups: ${table.comparisons.map((each) => each.groups).join(", ")}. `;
    const missing = `Not tested, for want of images or case tables: ${without.join(", ")}.`;
    const texts = [groups + TEST, without.length ? missing : "", describeBeyond(table, chosen)];
    return texts.filter(Boolean).map((text) => usbench.small(text));
  }

  // What the page, which has the tests of the best rows alone, lacks of the chosen ones.
  function describeBeyond(table, chosen) {
    const texts = table.comparisons.map(({ rows: ids, pairs: all }) => {
      const kept = Math.max(...all.map(([, worse]) => worse)) + 1;
      const beyond = chosen.filter((row) => ids.indexOf(row.id) >= kept).map((row) => row.name);
      return beyond.length
        ? `This page has the tests of the best ${kept} rows; usbench compare has those of ${beyond.join(", ")}.`
        : "";
    });
    return texts.join(" ").trim();
  }

  function untested(table, chosen) {
    const beyond = describeBeyond(table, chosen);
    if (beyond) return beyond;
    if (chosen.length < 2) return "Choose at least two models.";
    if (!table.comparisons.length) {
      return (
        "Nothing was tested in this table: a test needs two models of ours on the same images, " +
        "under the protocol that results are reported by."
      );
    }
    return (
      "No test compares these models: published rows have no case tables, and other rows may be " +
      "of other images or older versions."
    );
  }

  // ---- classes

  // Scores of all classes on one axis: rows are models, columns classes.
  function classes(table, chosen) {
    if (!table.classes.length) return null;
    const axis = scale.make(chosen.flatMap((row) => (row.classes || []).filter(Boolean)));
    const head = table.classes.flatMap((label) => [column(label), axisColumn(axis)]);
    const lines = chosen.map((row, place) => {
      const cells = table.classes.map((_, n) => classCells(row, n, axis));
      return h("tr", {}, h("th", { scope: "row" }, tag(place, row.name)), cells);
    });
    return grid(`${table.score} of each class`, [column("model"), ...head], lines);
  }

  function classCells(row, n, axis) {
    const part = row.classes?.[n];
    if (!part?.length) return [h("td", {}, "–"), h("td")];
    const drawn = scale.interval(axis, part, row.origin);
    return [h("td", { class: "main" }, number(part[1])), h("td", { class: "interval" }, drawn)];
  }

  function grid(caption, head, lines) {
    const title = h("caption", { class: "unseen" }, caption);
    const parts = [title, h("thead", {}, h("tr", {}, head)), h("tbody", {}, lines)];
    return usbench.region(caption, h("table", { class: "board forest" }, parts));
  }

  return { pairs, differences, classes, number };
})();
