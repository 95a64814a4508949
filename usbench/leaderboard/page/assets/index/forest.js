// The chosen models against each other: paired differences with intervals, and the score of each class.
"use strict";

usbench.forest = (() => {
  const { h, scale } = usbench;

  const number = (value, sign = "") => {
    const digits = Math.abs(value) >= 10 ? 1 : 3;
    const text = Math.abs(value).toFixed(digits).replace(/^0\./, ".");
    return `${value < 0 ? "−" : sign}${text}`;
  };
  const probability = (p) => (p === null ? "–" : p < 0.001 ? "< .001" : p >= 0.9995 ? "1" : p.toFixed(3).replace(/^0/, ""));

  // The pairs of chosen models that were tested: {a, b, value, margin, p, holm}, a being the better one.
  function pairs(table, chosen) {
    const place = new Map(chosen.map((row, n) => [row.id, n]));
    return table.comparisons.flatMap(({ rows: ids, pairs: all }) => all
      .map(([better, worse, value, margin, p, holm]) => ({ a: ids[better], b: ids[worse], value, margin, p, holm }))
      .filter(({ a, b }) => place.has(a) && place.has(b))
      .map((pair) => ({ ...pair, a: place.get(pair.a), b: place.get(pair.b) })));
  }

  function verdict({ p, holm }, letter) {
    if (p === null) return "not tested: too few groups";
    return holm < 0.05 ? `${letter} is better` : "tied";
  }

  const tag = (n, name) => [h("span", { class: "letter" }, usbench.letter(n)), " ", h("span", { class: "name" }, name)];

  function differences(table, chosen) {
    const shown = pairs(table, chosen);
    if (!shown.length) return [h("p", { class: "muted" }, untested(table, chosen))];
    const axis = scale.make([[0], ...shown.map(({ value, margin }) => [value - margin, value, value + margin])]);
    const line = (pair) => h("tr", { class: pair.holm !== null && pair.holm < 0.05 ? "apart" : "" },
      h("th", { scope: "row" }, tag(pair.a, chosen[pair.a].name), h("span", { class: "muted" }, " − "), tag(pair.b, chosen[pair.b].name)),
      h("td", { class: "main" }, number(pair.value, "+")),
      h("td", { class: "interval" }, scale.interval(axis, [pair.value - pair.margin, pair.value, pair.value + pair.margin], "run")),
      h("td", {}, `[${number(pair.value - pair.margin)}, ${number(pair.value + pair.margin)}]`),
      h("td", { class: "number" }, probability(pair.holm)), h("td", {}, verdict(pair, usbench.letter(pair.a))));
    const heads = [["difference", table.score], ["drawn", null], ["95 % interval", null], ["p (Holm)", null], ["verdict", null]];
    return [grid("Paired differences on the same images",
      h("tr", {}, h("th", { scope: "col" }, "pair"), heads.map(([text], n) => h("th", { scope: "col", class: n === 1 ? "interval" : "" }, n === 1 ? scale.axis(axis) : text, n === 1 ? h("span", { class: "unseen" }, "interval") : null))),
      shown.map(line)),
    ...notes(table, chosen)];
  }

  function notes(table, chosen) {
    const tested = new Set(table.comparisons.flatMap(({ rows: ids }) => ids));
    const without = chosen.filter((row) => !tested.has(row.id)).map((row) => row.name);
    const groups = table.comparisons.map((one) => one.groups).join(", ");
    const first = `p: how often swapping whole groups (${groups}) at random gives as large a difference, by Holm's correction for all pairs of the table. Tied: p ≥ .05.`;
    const second = without.length ? `Not tested, for want of the same images or of case tables: ${without.join(", ")}.` : "";
    return [first, second].filter(Boolean).map((text) => h("p", { class: "muted small" }, text));
  }

  function untested(table, chosen) {
    if (chosen.length < 2) return "Choose at least two models.";
    if (!table.comparisons.length) return "Nothing was tested in this table: tests need at least two models of ours, on the same images, under the protocol that results are reported by.";
    return "No test compares these models: published rows have no case tables, and other rows may be of other images or older versions.";
  }

  // Scores of all classes on one axis: rows are models, columns classes.
  function classes(table, chosen) {
    if (!table.classes.length) return null;
    const axis = scale.make(chosen.flatMap((row) => (row.classes || []).filter(Boolean)));
    const cell = (row, n) => {
      const part = row.classes?.[n];
      return part && part.length ? [h("td", { class: "main" }, number(part[1])), h("td", { class: "interval" }, scale.interval(axis, part, row.origin))] : [h("td", {}, "–"), h("td")];
    };
    return grid(`${table.score} of each class`,
      h("tr", {}, h("th", { scope: "col" }, "model"), table.classes.map((label) => [h("th", { scope: "col" }, label), h("th", { scope: "col", class: "interval" }, h("span", { class: "unseen" }, "interval"), scale.axis(axis))])),
      chosen.map((row, place) => h("tr", {}, h("th", { scope: "row" }, tag(place, row.name)), table.classes.map((_, n) => cell(row, n)))));
  }

  const grid = (caption, head, lines) => h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", { class: "board forest" }, h("caption", { class: "unseen" }, caption), h("thead", {}, head), h("tbody", {}, lines)));

  return { pairs, differences, classes, number };
})();
