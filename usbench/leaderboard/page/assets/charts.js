// Drawings of one protocol's rows: the whisker in a table's cell, seeds as dots, classes as a heat map, score against cost.
// Two protocols never share an axis: each function gets the rows of one table.
"use strict";

usbench.charts = (() => {
  const { h } = usbench;
  const MOST = 40; // rows of a drawing; the table has all
  const COLOUR = {
    run: "var(--ours)", published: "var(--published)", external: "var(--external)",
    baseline: "var(--baseline)", human: "var(--human)",
  };
  const NAMES = { run: "ours", published: "published", external: "external", baseline: "baseline", human: "human agreement" };

  const named = (row) => (row.recipe ? `${row.name} (${row.recipe})` : row.name);
  const alone = (row, rows) => (rows.filter((other) => other.name === row.name).length > 1 ? named(row) : row.name);
  const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  const amount = (value) => d3.format(value >= 1000 ? ",.0f" : ".4~g")(value);
  const better = (table) => (table.higher_is_better ? "higher is better" : "lower is better");

  // The axis of a table's score: from 0 to 1, or to the largest figure where figures go beyond.
  function domain(table) {
    const ends = table.rows.flatMap((row) => [row.value, row.high, ...(row.dots || [])]).filter((end) => end !== undefined);
    const most = d3.max(ends) ?? 1;
    const least = Math.min(0, d3.min(table.rows, (row) => row.low ?? row.value) ?? 0);
    return [least, table.higher_is_better && most <= 1 ? 1 : most * 1.03 || 1];
  }

  // Inline SVG of a row's interval, mean and seeds.
  function whisker(row, table, width = 96) {
    const x = d3.scaleLinear(table.domain ??= domain(table), [3, width - 3]);
    const colour = COLOUR[row.origin];
    const svg = d3.create("svg").attr("class", "whisker").attr("width", width).attr("height", 14).attr("aria-hidden", "true");
    svg.append("line").attr("x1", 3).attr("x2", width - 3).attr("y1", 7).attr("y2", 7).attr("stroke", "var(--line)");
    if (row.value === undefined) return svg.node();
    if (row.low !== undefined) {
      svg.append("line").attr("x1", x(row.low)).attr("x2", x(row.high)).attr("y1", 7).attr("y2", 7)
        .attr("stroke", colour).attr("stroke-width", 4).attr("stroke-opacity", 0.35).attr("stroke-linecap", "round");
    }
    svg.selectAll("circle").data(row.dots || []).join("circle").attr("cx", (dot) => x(dot)).attr("cy", 7).attr("r", 2)
      .attr("fill", colour).attr("fill-opacity", 0.6);
    svg.append("line").attr("x1", x(row.value)).attr("x2", x(row.value)).attr("y1", 1.5).attr("y2", 12.5)
      .attr("stroke", colour).attr("stroke-width", 2.5);
    return svg.node();
  }

  function origins(rows) {
    const found = Object.keys(COLOUR).filter((origin) => rows.some((row) => row.origin === origin));
    return found.map((origin) => h("span", {}, h("span", { class: "origin", style: `color: ${COLOUR[origin]}` }), NAMES[origin]));
  }

  function drawn(options, description) {
    const svg = Plot.plot({ ...options, style: { fontSize: "12px", background: "none" } });
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", description);
    return svg;
  }

  // Seeds (of folds: each seed's folds together) as dots, their mean as a bar, the interval over cases as a band.
  function dots(table, shown, width) {
    const rows = shown.filter((row) => row.value !== undefined).slice(0, MOST);
    if (!rows.length) return null;
    const label = Math.min(0.42 * width, 16 + 7 * d3.max(rows, (row) => alone(row, rows).length));
    const most = Math.floor((label - 12) / 6.7);
    const at = (row) => rows.indexOf(row);
    const coloured = (row) => COLOUR[row.origin];
    const seeds = rows.flatMap((row) => (row.dots || [row.value]).map((value) => ({ value, row })));
    const target_score = rows.find((row) => row.target_score !== undefined)?.target_score;
    const svg = drawn({
      width, height: 46 + 25 * rows.length, marginLeft: label, marginRight: 16, marginTop: 8, marginBottom: 38,
      x: { domain: table.domain ??= domain(table), label: `${table.score} (${better(table)})`, labelAnchor: "center", labelArrow: "none", grid: true, ticks: width < 520 ? 4 : 8 },
      y: { domain: rows.map((_, n) => n), label: null, tickSize: 0, tickFormat: (n) => short(alone(rows[n], rows), most), type: "band" },
      marks: [
        target_score === undefined ? null : Plot.ruleX([target_score], { stroke: "var(--muted)", strokeDasharray: "3,3" }),
        Plot.barX(rows.filter((row) => row.low !== undefined), { y: at, x1: "low", x2: "high", fill: coloured, fillOpacity: 0.28, insetTop: 7, insetBottom: 7, rx: 3 }),
        Plot.tickX(rows, { x: "value", y: at, stroke: coloured, strokeWidth: 2, insetTop: 2, insetBottom: 2 }),
        Plot.dot(seeds, { x: "value", y: (seed) => at(seed.row), fill: (seed) => coloured(seed.row), stroke: "var(--card)", strokeWidth: 1, r: 3.6 }),
      ],
    }, `Dot plot of ${table.score}, ${rows.length} rows; every figure stands in the table above.`);
    const cut = shown.length > rows.length && rows.length === MOST ? ` The first ${MOST} of ${shown.length} rows of the table.` : "";
    return h("figure", { class: "figure" }, h("h4", {}, "Scores, seeds and intervals"), svg, h("figcaption", {},
      h("span", { class: "keys" }, origins(rows)),
      `Dot: a seed (of folds, all folds of a seed). Bar: their mean. Band: 95 % over cases.${target_score === undefined ? "" : " Dashed: the target score."}${cut}`));
  }

  // Classes as columns: an HTML table, so that it is its own text alternative.
  function heats(table, shown) {
    const { classes, score: title, higher_is_better } = table;
    const custom = Object.entries(table.custom).map(([name, part]) => heat(shown, part, (row) => row.custom?.[name]));
    return [heat(shown, { classes, title, higher_is_better }, (row) => row.classes), ...custom];
  }

  // of: a row's [number, text] by class. Without a direction nothing is better, and cells have no colour.
  function heat(shown, { classes, title, higher_is_better }, of) {
    const rows = shown.filter(of).slice(0, MOST);
    if (!rows.length || !classes.length) return null;
    const values = rows.flatMap(of).filter((one) => one && one[0] !== null).map((one) => one[0]);
    const domain = higher_is_better ? [Math.min(0, d3.min(values)), Math.max(1, d3.max(values))] : [d3.max(values), 0];
    const share = higher_is_better === null ? () => 0 : d3.scaleLinear(domain, [0, 52]);
    const cell = (one) => {
      if (!one) return h("td", { class: "heat" }, h("span", { class: "unseen" }, "none"));
      const mix = `background: color-mix(in srgb, var(--accent) ${one[0] === null ? 0 : share(one[0]).toFixed(1)}%, var(--card))`;
      return h("td", { class: "heat", style: mix }, one[1]);
    };
    return h("figure", { class: "figure" }, h("h4", {}, `Per class, ${title}`),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Per class, ${title}` },
        h("table", { class: "plain heat" },
          h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "model"), classes.map((name) => h("th", { scope: "col" }, name)))),
          h("tbody", {}, rows.map((row) => h("tr", {}, h("th", { scope: "row" }, named(row)), of(row).map(cell)))))),
      h("figcaption", {}, `${higher_is_better === null ? "" : "The darker the better (in the dark theme: the brighter). "}[a, b]: 95 % interval over cases.`));
  }

  // What a score may be set against: {name: [title, a row's cost]}. Times of two machines are never on one axis.
  function costs(rows) {
    const of = (field) => (row) => row[field];
    const found = { parameters: ["parameters", of("parameters")], hours: ["training hours, each on its result's machine", of("hours")] };
    for (const on of new Set(rows.map((row) => row.machine).filter(Boolean))) {
      found[`ms ${on}`] = [`latency p50 of one image, ms, on ${on}`, (row) => (row.machine === on ? row.ms : undefined)];
    }
    const several = ([, [, cost]]) => rows.filter((row) => row.value !== undefined && cost(row)).length > 1;
    return Object.fromEntries(Object.entries(found).filter(several));
  }

  // The rows that no other beats in both: cheapest first, each better than all cheaper ones.
  function front(rows, cost, higher) {
    const sign = higher ? 1 : -1;
    let best = -Infinity;
    return [...rows].sort((a, b) => cost(a) - cost(b) || sign * (b.value - a.value))
      .filter((row) => sign * row.value > best && ((best = sign * row.value), true));
  }

  // Where points' names go: beside each, below where another stands, to the left near the right edge.
  function labelled(points, x, y, width) {
    const placed = [];
    return points.map((row) => {
      const [left, top, length] = [x(row), y(row), 6.4 * short(row.name, 24).length];
      const end = left + length + 14 > width;
      const spot = (under) => ({ row, end, under, from: end ? left - length - 9 : left + 9, top: top + (under ? 13 : -9) });
      const meets = (one, other) => Math.abs(one.top - other.top) < 13 && one.from < other.from + other.length && other.from < one.from + length;
      const [above, below] = [spot(false), spot(true)];
      const found = placed.some((other) => meets(above, other)) ? below : above;
      placed.push({ ...found, length });
      return placed.some((other) => other.row !== row && meets(found, other)) ? null : found;
    }).filter(Boolean);
  }

  function scatter(table, rows, [title, cost], width) {
    const points = rows.filter((row) => row.value !== undefined && cost(row));
    const best = front(points, cost, table.higher_is_better);
    const [least, most] = d3.extent(points, cost);
    const log = most / least > 12;
    const ends = points.flatMap((row) => [row.low ?? row.value, row.high ?? row.value]);
    const x = (log ? d3.scaleLog() : d3.scaleLinear()).domain(log ? [least, most] : [0, most]).range([52, width - 24]).nice();
    const y = d3.scaleLinear().domain(d3.extent(ends)).range([288, 22]).nice();
    const names = labelled([...best, ...(points.length > 30 ? [] : points.filter((row) => !best.includes(row)))],
      (row) => x(cost(row)), (row) => y(row.value), width);
    const name = (end, under) => Plot.text(names.filter((each) => each.end === end && each.under === under), {
      x: (each) => cost(each.row), y: (each) => each.row.value, text: (each) => short(each.row.name, 24), dx: end ? -9 : 9,
      dy: under ? 13 : -9, textAnchor: end ? "end" : "start", fill: "currentColor", stroke: "var(--card)", strokeWidth: 4,
    });
    const tips = (row) => `${named(row)}\n${table.score} ${row.text}\n${amount(cost(row))} ${title.split(",")[0]}`;
    const svg = drawn({
      width, height: 330, marginLeft: 52, marginRight: 24, marginTop: 22, marginBottom: 42,
      x: { type: log ? "log" : "linear", domain: x.domain(), label: title, labelAnchor: "center", labelArrow: "none", grid: true, ticks: width < 520 ? 3 : 6, tickFormat: "~s" },
      y: { domain: y.domain(), label: `${table.score} (${better(table)})`, grid: true, labelArrow: "none" },
      marks: [
        Plot.line(best, { x: cost, y: "value", stroke: "var(--accent)", strokeDasharray: "4,3", curve: "step-after" }),
        Plot.ruleX(points.filter((row) => row.low !== undefined), { x: cost, y1: "low", y2: "high", stroke: (row) => COLOUR[row.origin], strokeOpacity: 0.35, strokeWidth: 3 }),
        Plot.dot(points, { x: cost, y: "value", r: 4.5, stroke: (row) => COLOUR[row.origin], strokeWidth: 2, fill: (row) => (best.includes(row) ? COLOUR[row.origin] : "var(--card)") }),
        name(false, false), name(false, true), name(true, false), name(true, true),
        Plot.tip(points, Plot.pointer({ x: cost, y: "value", title: tips })),
      ],
    }, `Scatter of ${table.score} against ${title}, ${points.length} rows; on the front: ${best.map(named).join(", ")}. The table below has every figure.`);
    return { svg, points, best };
  }

  // Score against cost with the front; a select chooses the cost.
  function cost(table, shown, width) {
    const rows = shown.filter((row) => row.value !== undefined);
    const choices = costs(rows);
    if (!Object.keys(choices).length) return null;
    const place = h("div");
    const select = h("select", { id: `cost-${table.id}`, onchange: draw },
      Object.entries(choices).map(([name, [title]]) => h("option", { value: name }, title)));
    if (choices[table.cost]) select.value = table.cost;
    function draw() {
      table.cost = select.value;
      const { svg, points, best } = scatter(table, rows, choices[select.value], width);
      const [title, of] = choices[select.value];
      place.replaceChildren(svg, h("details", {}, h("summary", {}, "As a table"), h("div", { class: "scroll" },
        h("table", { class: "plain front" },
          h("thead", {}, h("tr", {}, ["model", title, table.score, "on the front"].map((name) => h("th", { scope: "col" }, name)))),
          h("tbody", {}, d3.sort(points, of).map((row) => h("tr", {}, h("th", { scope: "row" }, named(row)),
            h("td", {}, amount(of(row))), h("td", {}, row.text), h("td", {}, best.includes(row) ? "yes" : "no"))))))));
    }
    draw();
    return h("figure", { class: "figure" }, h("h4", {}, "Score against cost"),
      h("div", { class: "row unprinted" }, h("label", { for: select.id }, "Cost"), select), place,
      h("figcaption", {}, h("span", { class: "keys" }, origins(rows)),
        "Filled and dashed: the Pareto front, rows that no other beats in both. Bar: 95 % interval over cases."));
  }

  return { whisker, dots, heats, cost, front, named, COLOUR };
})();
