// Score against cost: one mark per row of the table, the chosen ones with their letters.
"use strict";

usbench.cost = (() => {
  const { h, svg, scale } = usbench;
  const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [640, 330, 40, 40, 24, 20];

  // What scores may be drawn against: parameters, and the time on each machine, as no axis holds two machines.
  function axes(table) {
    const machines = [...new Set(table.rows.map((row) => row.cost?.on).filter(Boolean))];
    const all = [{ key: "parameters", title: "parameters, millions", of: (row) => row.cost?.parameters / 1e6 },
      ...machines.map((machine, n) => ({ key: `ms${n || ""}`, title: `ms per image on ${machine}`, of: (row) => (row.cost?.on === machine ? row.cost.ms : null) }))];
    return all.filter((axis) => points(table, axis).length > 1);
  }

  const points = (table, axis) => table.rows.filter((row) => row.interval && axis.of(row) > 0)
    .map((row) => ({ row, x: axis.of(row), y: row.interval[1], low: row.interval[0], high: row.interval[2] }));

  // A logarithmic axis with ticks at 1, 2, 5, 10 …
  function logAxis(values) {
    const [low, high] = [Math.min(...values) / 1.4, Math.max(...values) * 1.4];
    const at = (value) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.log(value / low)) / Math.log(high / low);
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
      for (const factor of [1, 2, 5]) if (factor * 10 ** power >= low && factor * 10 ** power <= high) ticks.push(factor * 10 ** power);
    }
    return { at, ticks };
  }

  // The rows that no other one beats in both score and cost, cheapest first.
  function front(points, higher) {
    const sign = higher ? 1 : -1;
    let best = -Infinity;
    return [...points].sort((a, b) => a.x - b.x || sign * (b.y - a.y)).filter(({ y }) => (sign * y > best ? ((best = sign * y), true) : false));
  }

  function draw(table, chosen, axis) {
    const all = points(table, axis);
    const xAxis = logAxis(all.map(({ x }) => x));
    const yScale = scale.make(all.map(({ row }) => row.interval));
    const y = (value) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * (value - yScale.low)) / (yScale.high - yScale.low);
    const names = chosen.map((row) => row.id);
    return svg("svg", { class: "cost", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${table.score} against ${axis.title}; the table below has the figures` },
      yScale.ticks.map((tick) => [svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }),
        svg("text", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, scale.label(tick, yScale.digits))]),
      xAxis.ticks.map((tick) => svg("text", { x: xAxis.at(tick), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, tick >= 1 ? tick.toLocaleString("en") : String(tick).replace(/^0/, ""))),
      svg("text", { x: WIDTH - RIGHT, y: HEIGHT - 4, "text-anchor": "end", class: "title" }, `${axis.title} →`),
      svg("text", { x: LEFT, y: 10, class: "title" }, `↑ ${table.score}`),
      svg("polyline", { class: "front", points: front(all, table.higher).map((point) => `${xAxis.at(point.x)},${y(point.y)}`).join(" ") }),
      all.map((point) => mark(point, xAxis.at(point.x), y, names.includes(point.row.id))),
      labels(all.filter(({ row }) => names.includes(row.id)), xAxis.at, y, names));
  }

  function mark({ row, y: value, low, high }, x, y, isChosen) {
    const whisker = low === null ? null : svg("line", { class: "range", x1: x, x2: x, y1: y(low), y2: y(high) });
    return svg("g", { class: `plot ${row.origin}${isChosen ? "" : " other"}` }, whisker,
      svg("g", { transform: `translate(${x} ${y(value)})` }, scale.symbol(row.origin)));
  }

  // Names beside their marks, moved apart where they would cover each other.
  function labels(chosen, x, y, names) {
    let last = -Infinity;
    return [...chosen].sort((a, b) => y(a.y) - y(b.y)).map((point) => {
      last = Math.max(y(point.y) + 4, last + 15);
      const isRight = x(point.x) > 0.7 * WIDTH;
      return svg("text", { x: x(point.x) + (isRight ? -10 : 10), y: last, class: "name", "text-anchor": isRight ? "end" : "start" },
        `${usbench.letter(names.indexOf(point.row.id))} ${point.row.name}`);
    });
  }

  function figures(table, axis) {
    const lines = points(table, axis).map(({ row, x, y }) => [row.name, x < 10 ? x.toPrecision(3) : x.toFixed(1), usbench.forest.number(y)]);
    return h("details", {}, h("summary", {}, "The figures"), usbench.results.plain(`${table.score} against ${axis.title}`, ["model", axis.title, table.score], lines));
  }

  // The drawing with a choice of the cost; null where no cost is known of two rows.
  function build(table, chosen, params) {
    const all = axes(table);
    if (!all.length) return null;
    const axis = all.find(({ key }) => key === params.cost) || all[0];
    const select = h("select", { id: "cost", onchange: () => usbench.state.set({ cost: select.value }) }, all.map(({ key, title }) => h("option", { value: key }, title)));
    select.value = axis.key;
    return [h("div", { class: "field" }, h("label", { for: "cost" }, "Cost"), select), draw(table, chosen, axis),
      h("p", { class: "muted small" }, "Line: rows that no other beats in both. Bars: 95 % intervals."), figures(table, axis)];
  }

  return { build, front, axes };
})();
